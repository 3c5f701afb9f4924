"""config-observability: the request log, where spans go, and whether answers tell their cold start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.contracts import problems, request_log, wake
from tidegate.contracts.config.reading import Reader
from tidegate.contracts.problems import FieldProblem

ENABLE = "logging.enable-request-log"
TEMPLATE = "logging.request-log-template"
ENABLE_PROBES = "logging.enable-probe-request-log"
URL_TEMPLATE = "logging.revision-url-template"
REVISION_UID = "${REVISION_UID}"
WAKE_TIMING = "wake-timing"
TRACING_PROTOCOL = "tracing-protocol"
TRACING_ENDPOINT = "tracing-endpoint"
TRACING_RATE = "tracing-sampling-rate"
NO_TRACING = "none"
OTLP_HTTP = "http/protobuf"
"""Knative's word for OTLP over HTTP; Tidegate sends its JSON form to the same endpoint."""


@dataclass(frozen=True)
class Observability:
    """Parsed config-observability. `request_log_template` is usable whenever the log is enabled.

    `is_wake_timing_enabled`: whether answers whose request paid a cold start say what it consisted of.
    `tracing_endpoint`: empty without tracing. `tracing_sampling_rate`: 0 to 1. `revision_url_template`: empty: none.
    """

    is_request_log_enabled: bool = False
    request_log_template: str = request_log.DEFAULT
    is_probe_log_enabled: bool = False
    tracing_endpoint: str = ""
    tracing_sampling_rate: float = 0.0
    revision_url_template: str = ""
    is_wake_timing_enabled: bool = True


def parse(config_map: Mapping[str, Any] | None) -> tuple[Observability, list[FieldProblem]]:
    """Return the values and what is wrong with them."""
    reader = Reader(config_map)
    values = Observability(
        is_request_log_enabled=reader.boolean(ENABLE, False),
        request_log_template=reader.text(TEMPLATE, request_log.DEFAULT),
        is_probe_log_enabled=reader.boolean(ENABLE_PROBES, False),
        tracing_endpoint=_tracing_endpoint(reader),
        tracing_sampling_rate=_tracing_rate(reader),
        revision_url_template=reader.text(URL_TEMPLATE),
        is_wake_timing_enabled=_is_enabled(reader, WAKE_TIMING),
    )
    # Metrics are there to be scraped whatever these say; a word that is none is a mistake all the same.
    for key in ("metrics-protocol", "request-metrics-protocol"):
        reader.choice(key, (NO_TRACING, "prometheus", "grpc", OTLP_HTTP), NO_TRACING)
    if values.is_request_log_enabled and not values.request_log_template:
        reader.complain(problems.missing(TEMPLATE))
    try:
        request_log.Template(values.request_log_template)
    except ValueError as error:
        reader.complain(problems.invalid(values.request_log_template, TEMPLATE, str(error)))
    return values, reader.problems


def _is_enabled(reader: Reader, key: str) -> bool:
    text = reader.text(key, wake.ON)
    try:
        return wake.parse_enabled(text)
    except ValueError:
        reader.complain(problems.invalid(text, key, f"write {wake.ON} or {wake.OFF}"))
        return True


def _tracing_endpoint(reader: Reader) -> str:
    protocol, endpoint = reader.text(TRACING_PROTOCOL, NO_TRACING), reader.text(TRACING_ENDPOINT, "")
    if protocol == NO_TRACING:
        return ""
    if protocol != OTLP_HTTP:
        reader.complain(problems.invalid(protocol, TRACING_PROTOCOL, f"Tidegate knows {NO_TRACING} and {OTLP_HTTP}"))
        return ""
    if not endpoint.startswith(("http://", "https://")):
        reader.complain(problems.invalid(endpoint, TRACING_ENDPOINT, "write http://host:4318"))
        return ""
    return endpoint


def _tracing_rate(reader: Reader) -> float:
    text = reader.text(TRACING_RATE, "0")
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0.0 <= rate <= 1.0:
        reader.complain(problems.invalid(text, TRACING_RATE, "write a number from 0 to 1"))
        return 0.0
    return rate
