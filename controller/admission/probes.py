"""The probes of one container."""

from __future__ import annotations

from typing import Any

from tidegate.contracts import problems
from tidegate.contracts.config.features import Features
from tidegate.contracts.problems import FieldProblem

Object = dict[str, Any]

KINDS = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("exec", "grpc", "httpGet", "tcpSocket")
UNNAMED_PORT = "http"
"""What a port without a name may be called in a probe."""

_MAX_INT32 = 2**31 - 1


def validate(container: Object, features: Features, *, is_serving: bool) -> list[FieldProblem]:
    """Return what is wrong with a container's probes; paths are relative to the container."""
    has_sidecar_probes = features.is_enabled("multi-container-probing")
    found: list[FieldProblem] = []
    if not is_serving and not has_sidecar_probes:
        refused = sorted(kind for kind in KINDS if container.get(kind) is not None)
        return [problems.disallowed(*refused)] if refused else []
    for kind in KINDS:
        probe = container.get(kind)
        if probe is None:
            continue
        inner = _handler(probe, container, is_serving=is_serving)
        inner += _readiness_times(probe) if kind == "readinessProbe" else _times(probe)
        found += problems.under(kind, inner)
    return found


def _handler(probe: Object, container: Object, *, is_serving: bool) -> list[FieldProblem]:
    handlers = [handler for handler in _HANDLERS if probe.get(handler) is not None]
    if not handlers:
        return [problems.expected_one_got_neither("httpGet", "tcpSocket", "exec", "grpc")]
    if len(handlers) > 1:
        return [problems.expected_one_got_both(*handlers)]
    handler = handlers[0]
    if handler == "exec":
        return []
    return problems.under(handler, _port(probe[handler], container, is_serving=is_serving))


def _port(handler: Object, container: Object, *, is_serving: bool) -> list[FieldProblem]:
    port = handler.get("port")
    if not is_serving and not port:
        return [problems.missing("port")]
    if isinstance(port, str) and port:
        name = next((entry.get("name") for entry in container.get("ports") or []), None) or UNNAMED_PORT
        if port != name:
            return [problems.invalid(port, "port", "Probe port must match container port")]
    return []


def _times(probe: Object) -> list[FieldProblem]:
    keys = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold")
    return [
        problems.out_of_bounds(probe[key], 0, _MAX_INT32, key) for key in keys if key in probe and (probe[key] or 0) < 0
    ]


def _readiness_times(probe: Object) -> list[FieldProblem]:
    found = []
    for key, low in (("periodSeconds", 0), ("initialDelaySeconds", 0), ("successThreshold", 1)):
        value = probe.get(key) or 0
        if value < low:
            found.append(problems.out_of_bounds(value, low, _MAX_INT32, key))
    is_aggressive = not probe.get("periodSeconds")
    for key in ("failureThreshold", "timeoutSeconds"):
        value = probe.get(key) or 0
        if is_aggressive and value:
            found.append(FieldProblem(f"{key} is disallowed when periodSeconds is zero", (key,)))
        elif not is_aggressive and value < 1:
            found.append(problems.out_of_bounds(value, 1, _MAX_INT32, key))
    return found
