"""The port remapping rule of the process node.

Pure. Containers of one pod, and of all pods, share the machine's ports here. Therefore a container whose variable PORT
equals one of its containerPorts gets a port of its own on 127.0.0.1, and in the whole pod every PORT and USER_PORT with
the old value, every probe of that port, takes the new number. Pods on the host network keep their ports.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.kube.api import Object

PORT_VARIABLES = ("PORT", "USER_PORT")
PROBE_VARIABLE = "SERVING_READINESS_PROBE"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
LOCAL_HOST = "127.0.0.1"


def to_remap(spec: Object) -> list[int]:
    """Return the ports of the pod that must be replaced, in order, each once."""
    if spec.get("hostNetwork"):
        return []
    found: list[int] = []
    for container in spec.get("containers") or []:
        declared = {int(port["containerPort"]) for port in container.get("ports") or []}
        for one in container.get("env") or []:
            value = one.get("value") or ""
            if one["name"] == "PORT" and value.isdigit() and int(value) in declared and int(value) not in found:
                found.append(int(value))
    return found


def remapped(pod: Object, ports: Mapping[int, int]) -> Object:
    """Return the pod with `ports` (old -> new) put into its variables and probes; the pod itself stays unchanged."""
    if not ports:
        return pod
    pod = copy.deepcopy(pod)
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        moved = is_moved(container, ports)
        for one in container.get("env") or []:
            _replace_variable(one, ports)
        if moved and not any(one["name"] == "HOST" for one in container.get("env") or []):
            container.setdefault("env", []).append({"name": "HOST", "value": LOCAL_HOST})
        _replace_probes(container, ports, moved)
    return pod


def needs_forwarding(spec: Object) -> bool:
    """Whether the moved ports must answer on the pod's address too: not behind a queueproxy, which knows them."""
    return not any(one["name"] == "USER_PORT" for container in spec["containers"] for one in container.get("env") or [])


def allocate(ports: list[int], taken: Callable[[], int]) -> dict[int, int]:
    """Return a new number for each port, from `taken`, which gives a free one each time."""
    return {port: taken() for port in ports}


def is_moved(container: Object, ports: Mapping[int, int]) -> bool:
    """Whether this container's own port is among `ports`: it then listens on 127.0.0.1."""
    values = [one.get("value") or "" for one in container.get("env") or [] if one["name"] == "PORT"]
    return any(value.isdigit() and int(value) in ports for value in values)


def _replace_variable(one: Object, ports: Mapping[int, int]) -> None:
    value = one.get("value") or ""
    if one["name"] in PORT_VARIABLES and value.isdigit() and int(value) in ports:
        one["value"] = str(ports[int(value)])
    elif one["name"] == PROBE_VARIABLE and value.startswith("{"):
        one["value"] = _in_probe_text(value, ports)


def _in_probe_text(text: str, ports: Mapping[int, int]) -> str:
    try:
        probe = json.loads(text)
    except ValueError:
        return text
    for action in probe.values():
        if isinstance(action, dict) and action.get("port") in ports:
            action["port"] = ports[action["port"]]
    return json.dumps(probe, separators=(",", ":"))


def _replace_probes(container: Object, ports: Mapping[int, int], moved: bool) -> None:
    named = {one.get("name"): int(one["containerPort"]) for one in container.get("ports") or []}
    actions: list[Any] = [container.get(kind) for kind in PROBES]
    actions += [(container.get("lifecycle") or {}).get(kind) for kind in ("postStart", "preStop")]
    for action in actions:
        for kind in ("httpGet", "tcpSocket", "grpc"):
            target = (action or {}).get(kind)
            if target is None:
                continue
            number = named.get(target.get("port"), target.get("port"))
            if number in ports:
                target["port"] = ports[number]
                if moved:
                    target.setdefault("host", LOCAL_HOST)
    for port in container.get("ports") or []:
        if moved and int(port["containerPort"]) in ports:
            port["containerPort"] = ports[int(port["containerPort"])]


def probe_port(port: int | str, container: Object) -> int:
    """Return the number of a probe's port, which may be the name of one of the container's; 0 when there is none."""
    if isinstance(port, int) or str(port).isdigit():
        return int(port)
    return next((int(one["containerPort"]) for one in container.get("ports") or [] if one.get("name") == port), 0)
