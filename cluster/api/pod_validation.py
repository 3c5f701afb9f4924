"""Rules for pod specs: containers, ports, variables, probes, volumes, and what an update may change.

Pure. Runs after the type check of `builtin_schemas` and after defaulting, so fields that are present have their type.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from cluster import quantities
from cluster.api import names
from cluster.api.field_errors import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_found,
    required,
    unsupported,
)
from tidegate.kube.api import Object

TOKEN_LIFETIME_MIN_S = 600
_RESTART = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_PULL = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_HANDLERS = ("exec", "grpc", "httpGet", "tcpSocket")
_SIDES = ("containers", "initContainers", "ephemeralContainers")
_MUTABLE_TEXT = (
    "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, "
    "`spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to existing tolerations), "
    "`spec.terminationGracePeriodSeconds`"
)
_MUTABLE = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates")


def check_pod_spec(spec: Object, path: str) -> list[FieldError]:
    """Return what is wrong with a pod's or pod template's spec."""
    found = list(_check_volumes(spec.get("volumes") or [], f"{path}.volumes"))
    volumes = {volume.get("name") for volume in spec.get("volumes") or []}
    if not spec.get("containers"):
        found.append(required(f"{path}.containers"))
    seen: set[str] = set()
    for side in _SIDES:
        for index, container in enumerate(spec.get(side) or []):
            found += _check_container(container, f"{path}.{side}[{index}]", seen, volumes)
    found += _check_choice(spec, "restartPolicy", _RESTART, path)
    found += _check_choice(spec, "dnsPolicy", _DNS, path)
    grace, deadline = spec.get("terminationGracePeriodSeconds"), spec.get("activeDeadlineSeconds")
    if grace is not None and grace < 0:
        found.append(invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0"))
    if deadline is not None and deadline < 1:
        found.append(invalid(f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive"))
    for index, secret in enumerate(spec.get("imagePullSecrets") or []):
        if not secret.get("name"):
            found.append(required(f"{path}.imagePullSecrets[{index}].name"))
    if spec.get("serviceAccountName") and names.dns_subdomain(spec["serviceAccountName"]):
        account = spec["serviceAccountName"]
        found.append(invalid(f"{path}.serviceAccountName", account, names.dns_subdomain(account)))
    return found


def _check_choice(holder: Object, field: str, choices: tuple[str, ...], path: str) -> Iterator[FieldError]:
    if holder.get(field) is not None and holder[field] not in choices:
        yield unsupported(f"{path}.{field}", holder[field], choices)


def _check_container(container: Object, path: str, seen: set[str], volumes: set[Any]) -> Iterator[FieldError]:
    name = container.get("name")
    if not name:
        yield required(f"{path}.name")
    elif names.dns_label(name):
        yield invalid(f"{path}.name", name, names.dns_label(name))
    elif name in seen:
        yield duplicate(f"{path}.name", name)
    seen.add(name or "")
    image = container.get("image")
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    yield from _check_choice(container, "imagePullPolicy", _PULL, path)
    yield from _check_ports(container.get("ports") or [], f"{path}.ports")
    yield from _check_env(container.get("env") or [], f"{path}.env")
    yield from _check_mounts(container.get("volumeMounts") or [], f"{path}.volumeMounts", volumes)
    yield from _check_resources(container.get("resources") or {}, f"{path}.resources")
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(field) is not None:
            yield from _check_probe(container[field], f"{path}.{field}", field != "readinessProbe")
    for field, handler in (container.get("lifecycle") or {}).items():
        if isinstance(handler, dict):
            yield from _check_handler(handler, f"{path}.lifecycle.{field}", (*_HANDLERS, "sleep"))


def is_port(number: Any) -> bool:
    """Whether this is a port number."""
    return isinstance(number, int) and 0 < number < 65536


def check_port_number(number: Any, path: str) -> Iterator[FieldError]:
    """Check a port number that must be there."""
    if number is None:
        yield required(path)
    elif not is_port(number):
        yield invalid(path, number, "must be between 1 and 65535, inclusive")


def check_port_reference(port: Any, path: str) -> Iterator[FieldError]:
    """Check a port given by number or by name."""
    if isinstance(port, str):
        if names.port_name(port):
            yield invalid(path, port, names.port_name(port))
    else:
        yield from check_port_number(port, path)


def _check_ports(ports: list[Object], path: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    hosts: set[tuple[Any, ...]] = set()
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        name = port.get("name")
        if name and names.port_name(name):
            yield invalid(f"{here}.name", name, names.port_name(name))
        elif name and name in seen:
            yield duplicate(f"{here}.name", name)
        seen.add(name or "")
        yield from check_port_number(port.get("containerPort"), f"{here}.containerPort")
        yield from _check_choice(port, "protocol", _PROTOCOLS, here)
        if port.get("hostPort"):
            yield from check_port_number(port["hostPort"], f"{here}.hostPort")
            host = (port["hostPort"], port.get("protocol"), port.get("hostIP"))
            if host in hosts:
                yield duplicate(f"{here}.hostPort", port["hostPort"])
            hosts.add(host)


def _check_env(variables: list[Object], path: str) -> Iterator[FieldError]:
    for index, variable in enumerate(variables):
        here, name = f"{path}[{index}]", variable.get("name")
        if not name:
            yield required(f"{here}.name")
        elif names.env_name(name):
            yield invalid(f"{here}.name", name, names.env_name(name))
        source = variable.get("valueFrom")
        if source is None:
            continue
        given = [field for field, value in source.items() if value is not None]
        if variable.get("value"):
            yield invalid(f"{here}.valueFrom", "", "may not be specified when `value` is not empty")
        elif not given:
            yield invalid(
                f"{here}.valueFrom",
                "",
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
            )
        elif len(given) > 1:
            yield invalid(f"{here}.valueFrom", "", "may not have more than one field specified at a time")
        else:
            yield from _check_env_source(given[0], source[given[0]], f"{here}.valueFrom.{given[0]}")


def _check_env_source(kind: str, source: Object, path: str) -> Iterator[FieldError]:
    needed = {
        "configMapKeyRef": ("name", "key"),
        "secretKeyRef": ("name", "key"),
        "fieldRef": ("fieldPath",),
        "resourceFieldRef": ("resource",),
    }
    for field in needed.get(kind, ()):
        if not source.get(field):
            yield required(f"{path}.{field}")


def _check_mounts(mounts: list[Object], path: str, volumes: set[Any]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        here, place = f"{path}[{index}]", mount.get("mountPath")
        if not mount.get("name"):
            yield required(f"{here}.name")
        elif mount["name"] not in volumes:
            yield not_found(f"{here}.name", mount["name"])
        if not place:
            yield required(f"{here}.mountPath")
        elif place in seen:
            yield invalid(f"{here}.mountPath", place, "must be unique")
        seen.add(place or "")
        below = str(mount.get("subPath") or "")
        if below.startswith("/"):
            yield invalid(f"{here}.subPath", below, "must be a relative path")
        if ".." in below.split("/"):
            yield invalid(f"{here}.subPath", below, "must not contain '..'")


def _check_resources(resources: Object, path: str) -> Iterator[FieldError]:
    limits = resources.get("limits") or {}
    for side in ("limits", "requests"):
        for name, amount in (resources.get(side) or {}).items():
            value = _quantity(amount)
            here = f"{path}.{side}[{name}]"
            if value is None:
                yield invalid(here, amount, "quantities must be a number with an optional unit such as m, k, Mi or Gi")
            elif value < 0:
                yield invalid(here, amount, "must be greater than or equal to 0")
            elif side == "requests" and name in limits:
                limit = _quantity(limits[name])
                if limit is not None and value > limit:
                    yield invalid(
                        f"{path}.requests", amount, f"must be less than or equal to {name} limit of {limits[name]}"
                    )


def _quantity(amount: str | float) -> Decimal | None:
    try:
        return quantities.parse(amount)
    except ValueError:
        return None


def _check_probe(probe: Object, path: str, once: bool) -> Iterator[FieldError]:
    yield from _check_handler(probe, path, _HANDLERS)
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if (probe.get(field) or 0) < 0:
            yield invalid(f"{path}.{field}", probe[field], "must be greater than or equal to 0")
    if once and probe.get("successThreshold") not in (None, 1):
        yield invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _check_handler(handler: Object, path: str, kinds: tuple[str, ...]) -> Iterator[FieldError]:
    given = [kind for kind in kinds if handler.get(kind) is not None]
    if not given:
        yield required(path, "must specify a handler type")
    for extra in given[1:]:
        yield forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    if given and given[0] in ("httpGet", "tcpSocket", "grpc"):
        yield from check_port_reference(handler[given[0]].get("port"), f"{path}.{given[0]}.port")
    if given and given[0] == "exec" and not handler["exec"].get("command"):
        yield required(f"{path}.exec.command")


_VOLUME_NEEDS = {"configMap": "name", "secret": "secretName", "hostPath": "path", "persistentVolumeClaim": "claimName"}


def _check_volumes(volumes: list[Object], path: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        here, name = f"{path}[{index}]", volume.get("name")
        if not name:
            yield required(f"{here}.name")
        elif names.dns_label(name):
            yield invalid(f"{here}.name", name, names.dns_label(name))
        elif name in seen:
            yield duplicate(f"{here}.name", name)
        seen.add(name or "")
        sources = [field for field, value in volume.items() if field != "name" and value is not None]
        if not sources:
            yield required(here, "must specify a volume type")
        for extra in sources[1:]:
            yield forbidden(f"{here}.{extra}", "may not specify more than 1 volume type")
        needed = _VOLUME_NEEDS.get(sources[0]) if sources else None
        if needed and not volume[sources[0]].get(needed):
            yield required(f"{here}.{sources[0]}.{needed}")
        for number, source in enumerate((volume.get("projected") or {}).get("sources") or []):
            yield from _check_token(source.get("serviceAccountToken"), f"{here}.projected.sources[{number}]")


def _check_token(token: Object | None, path: str) -> Iterator[FieldError]:
    if token is None:
        return
    lifetime_s = token.get("expirationSeconds")
    if lifetime_s is not None and lifetime_s < TOKEN_LIFETIME_MIN_S:
        why = "may not specify a duration less than 10 minutes"
        yield invalid(f"{path}.serviceAccountToken.expirationSeconds", lifetime_s, why)
    if not token.get("path"):
        yield required(f"{path}.serviceAccountToken.path")


def check_pod_update(old: Object, new: Object) -> list[FieldError]:
    """Return an error when a pod's spec changed in more than the few fields that may change."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    found = []
    if len(before.get("containers") or []) != len(after.get("containers") or []):
        found.append(forbidden("spec.containers", "pod updates may not add or remove containers"))
    elif _fixed(before, before) != _fixed(after, before):
        found.append(forbidden("spec", _MUTABLE_TEXT))
    kept = after.get("tolerations") or []
    if any(toleration not in kept for toleration in before.get("tolerations") or []):
        found.append(
            forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
        )
    return found


def _fixed(spec: Object, before: Object) -> Object:
    """Return the part of a pod's spec that must stay; placing the pod on a node is the one thing that may be added."""
    fixed = {field: value for field, value in spec.items() if field not in _MUTABLE and field != "ephemeralContainers"}
    if not before.get("nodeName"):
        fixed.pop("nodeName", None)
    for side in ("containers", "initContainers"):
        if side in fixed:
            fixed[side] = [{**container, "image": ""} for container in fixed[side] or []]
    return fixed
