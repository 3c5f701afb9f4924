"""config-observability: the request log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.contracts import problems, request_log
from tidegate.contracts.config.reading import Reader
from tidegate.contracts.problems import FieldProblem

ENABLE = "logging.enable-request-log"
TEMPLATE = "logging.request-log-template"
ENABLE_PROBES = "logging.enable-probe-request-log"


@dataclass(frozen=True)
class Observability:
    """Parsed config-observability. `request_log_template` is usable whenever the log is enabled."""

    is_request_log_enabled: bool = False
    request_log_template: str = request_log.DEFAULT
    is_probe_log_enabled: bool = False


def parse(config_map: Mapping[str, Any] | None) -> tuple[Observability, list[FieldProblem]]:
    """Return the values and what is wrong with them."""
    reader = Reader(config_map)
    values = Observability(
        is_request_log_enabled=reader.boolean(ENABLE, False),
        request_log_template=reader.text(TEMPLATE, request_log.DEFAULT),
        is_probe_log_enabled=reader.boolean(ENABLE_PROBES, False),
    )
    if values.is_request_log_enabled and not values.request_log_template:
        reader.complain(problems.missing(TEMPLATE))
    try:
        request_log.Template(values.request_log_template)
    except ValueError as error:
        reader.complain(problems.invalid(values.request_log_template, TEMPLATE, str(error)))
    return values, reader.problems
