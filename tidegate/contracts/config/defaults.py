"""config-defaults: what a revision gets when its author says nothing, and the bounds of what may be said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.contracts import problems
from tidegate.contracts.config.reading import Reader
from tidegate.contracts.names import USER_CONTAINER
from tidegate.contracts.problems import FieldProblem

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_RESOURCE_KEYS = [
    (kind, resource, f"revision-{resource}-{kind}")
    for kind in ("request", "limit")
    for resource in ("cpu", "memory", "ephemeral-storage")
]


@dataclass(frozen=True)
class Defaults:
    """Parsed config-defaults. Times are seconds; `enable_service_links` None leaves the choice to Kubernetes."""

    timeout_s: int = 300
    max_timeout_s: int = 600
    response_start_timeout_s: int = 300
    idle_timeout_s: int = 0
    container_concurrency: int = 0
    container_concurrency_limit: int = 1000
    is_concurrency_zero_allowed: bool = True
    container_name: str = USER_CONTAINER
    init_container_name: str = "init-container"
    enable_service_links: bool | None = False
    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)


def parse(config_map: Mapping[str, Any] | None) -> tuple[Defaults, list[FieldProblem]]:
    """Return the values and what is wrong with them."""
    reader = Reader(config_map)
    values = Defaults(
        timeout_s=reader.integer("revision-timeout-seconds", 300),
        max_timeout_s=reader.integer("max-revision-timeout-seconds", 600),
        response_start_timeout_s=reader.integer("revision-response-start-timeout-seconds", 300),
        idle_timeout_s=reader.integer("revision-idle-timeout-seconds", 0),
        container_concurrency=reader.integer("container-concurrency", 0),
        container_concurrency_limit=reader.integer("container-concurrency-max-limit", 1000, low=1),
        is_concurrency_zero_allowed=reader.boolean("allow-container-concurrency-zero", True),
        container_name=_name_template(reader, "container-name-template", USER_CONTAINER),
        init_container_name=_name_template(reader, "init-container-name-template", "init-container"),
        enable_service_links=_service_links(reader),
        requests=_resources(reader, "request"),
        limits=_resources(reader, "limit"),
    )
    return values, [*reader.problems, *_cross_check(values, reader.data)]


def render_name(template: str, name: str) -> str:
    """Return a container name template filled with the object's name (`{{.Name}}`)."""
    return re.sub(r"\{\{\s*\.Name\s*\}\}", name, template)


def _name_template(reader: Reader, key: str, default: str) -> str:
    template = reader.text(key, default)
    if _LABEL.fullmatch(render_name(template, "x")):
        return template
    reader.complain(problems.invalid(template, key, "it must give a DNS-1123 label; {{.Name}} is the object's name"))
    return default


def _service_links(reader: Reader) -> bool | None:
    if reader.text("enable-service-links").lower() == "default":
        return None
    return reader.boolean("enable-service-links", False)


def _resources(reader: Reader, wanted: str) -> dict[str, str]:
    found = {resource: reader.quantity(key) for kind, resource, key in _RESOURCE_KEYS if kind == wanted}
    return {resource: quantity for resource, quantity in found.items() if quantity}


def _cross_check(values: Defaults, said: Mapping[str, str]) -> list[FieldProblem]:
    found = []
    if values.timeout_s > values.max_timeout_s:
        found.append(problems.out_of_bounds(values.timeout_s, 0, values.max_timeout_s, "revision-timeout-seconds"))
    for key, seconds in (
        ("revision-response-start-timeout-seconds", values.response_start_timeout_s),
        ("revision-idle-timeout-seconds", values.idle_timeout_s),
    ):
        # A default that is above the timeout simply never applies; only what somebody wrote can be a mistake.
        if key in said and seconds > values.timeout_s:
            found.append(problems.out_of_bounds(seconds, 0, values.timeout_s, key))
    low = 0 if values.is_concurrency_zero_allowed else 1
    high = values.container_concurrency_limit
    if not low <= values.container_concurrency <= high:
        found.append(problems.out_of_bounds(values.container_concurrency, low, high, "container-concurrency"))
    return found
