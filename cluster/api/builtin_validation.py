"""Rules for built-in kinds other than pod specs (`pod_validation`) and metadata (`metadata`).

Pure. One function per kind: the object and the one it replaces (None on create) to findings. Runs after the type check
of `builtin_schemas` and after defaulting.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from cluster.api import names
from cluster.api.field_errors import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    required,
    too_long,
    unsupported,
)
from cluster.api.pod_validation import check_pod_spec, check_pod_update, check_port_number, check_port_reference
from cluster.api.selectors import SelectorError, from_label_selector
from tidegate.kube.api import Object

DATA_LIMIT_BYTES = 1 << 20
_SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def check_pod(obj: Object, old: Object | None) -> list[FieldError]:
    """Check a Pod."""
    found = check_pod_spec(obj.get("spec") or {}, "spec")
    return found or (check_pod_update(old, obj) if old is not None else [])


# Workloads


def check_deployment(obj: Object, old: Object | None) -> list[FieldError]:
    """Check a Deployment or a ReplicaSet: replicas, selector, template."""
    spec = obj.get("spec") or {}
    found = list(_check_workload(spec))
    if old is not None and (old.get("spec") or {}).get("selector") != spec.get("selector"):
        found.append(invalid("spec.selector", spec.get("selector"), "field is immutable"))
    strategy = spec.get("strategy") or {}
    if strategy.get("type") not in (None, "Recreate", "RollingUpdate"):
        found.append(unsupported("spec.strategy.type", strategy["type"], ("Recreate", "RollingUpdate")))
    elif strategy.get("type") == "Recreate" and strategy.get("rollingUpdate") is not None:
        found.append(
            forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
        )
    rolling = strategy.get("rollingUpdate") or {}
    if _is_none(rolling.get("maxSurge")) and _is_none(rolling.get("maxUnavailable")):
        found.append(invalid("spec.strategy.rollingUpdate.maxUnavailable", 0, "may not be 0 when `maxSurge` is 0"))
    return found


def _is_none(amount: Any) -> bool:
    return amount in (0, "0", "0%")


def _check_workload(spec: Object) -> Iterator[FieldError]:
    for field in ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        if (spec.get(field) or 0) < 0:
            yield invalid(f"spec.{field}", spec[field], "must be greater than or equal to 0")
    selector, template = spec.get("selector"), spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if selector is None:
        yield required("spec.selector")
    else:
        yield from _check_selector(selector, labels)
    for key, value in labels.items():
        problem = names.qualified(key) or names.label_value(value)
        if problem:
            yield invalid("spec.template.labels", value if names.label_value(value) else key, problem)
    yield from check_pod_spec(template.get("spec") or {}, "spec.template.spec")
    policy = (template.get("spec") or {}).get("restartPolicy", "Always")
    if policy != "Always":
        yield unsupported("spec.template.spec.restartPolicy", policy, ("Always",))


def _check_selector(selector: Object, labels: dict[str, str]) -> Iterator[FieldError]:
    try:
        parsed = from_label_selector(selector)
    except SelectorError as error:
        yield invalid("spec.selector", selector, str(error))
        return
    if parsed.is_empty:
        yield invalid("spec.selector", selector, "empty selector is invalid for deployment")
    elif not parsed.matches_labels(labels):
        yield invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")


# Services


def check_service(obj: Object, old: Object | None) -> list[FieldError]:
    """Check a Service: type, ports, selector, and that its address stays."""
    spec = obj.get("spec") or {}
    found = list(_check_service_ports(spec))
    if spec.get("type") not in _SERVICE_TYPES:
        found.append(unsupported("spec.type", spec.get("type"), _SERVICE_TYPES))
    if spec.get("type") == "ExternalName" and not spec.get("externalName"):
        found.append(required("spec.externalName"))
    if spec.get("sessionAffinity") not in ("ClientIP", "None"):
        found.append(unsupported("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None")))
    for key, value in (spec.get("selector") or {}).items():
        problem = names.qualified(key) or names.label_value(value)
        if problem:
            found.append(invalid("spec.selector", f"{key}={value}", problem))
    before = (old or {}).get("spec") or {}
    fixed = before.get("clusterIP") if "ExternalName" not in (before.get("type"), spec.get("type")) else None
    if fixed and spec.get("clusterIP") and spec["clusterIP"] != fixed:
        found.append(invalid("spec.clusterIPs[0]", spec["clusterIP"], "may not change once set"))
    return found


def _check_service_ports(spec: Object) -> Iterator[FieldError]:
    ports = spec.get("ports") or []
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    seen_names: set[str] = set()
    seen_ports: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        path, name = f"spec.ports[{index}]", port.get("name")
        if not name and len(ports) > 1:
            yield required(f"{path}.name")
        elif name and names.dns_label(name):
            yield invalid(f"{path}.name", name, names.dns_label(name))
        elif name and name in seen_names:
            yield duplicate(f"{path}.name", name)
        seen_names.add(name or "")
        yield from check_port_number(port.get("port"), f"{path}.port")
        if port.get("targetPort") is not None and port.get("port") is not None:
            yield from check_port_reference(port["targetPort"], f"{path}.targetPort")
        if port.get("protocol") not in ("SCTP", "TCP", "UDP"):
            yield unsupported(f"{path}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))
        pair = (port.get("port"), port.get("protocol"))
        if pair in seen_ports:
            yield duplicate(path, {"port": pair[0], "protocol": pair[1]})
        seen_ports.add(pair)


# Configuration data


def check_config_map(obj: Object, old: Object | None) -> list[FieldError]:
    """Check a ConfigMap: its keys, its size, and `immutable`."""
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    found = list(_check_keys(data, "data")) + list(_check_keys(binary, "binaryData"))
    found += [invalid(f"data[{key}]", key, "duplicate of key present in binaryData") for key in data if key in binary]
    found += _check_base64(binary, "binaryData")
    if sum(len(str(value)) for value in (*data.values(), *binary.values())) > DATA_LIMIT_BYTES:
        found.append(too_long("", DATA_LIMIT_BYTES))
    return found + _check_immutable(obj, old, ("data", "binaryData"))


_SECRET_NEEDS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def check_secret(obj: Object, old: Object | None) -> list[FieldError]:
    """Check a Secret: keys, base64, size, type, and `immutable`."""
    data = obj.get("data") or {}
    found = list(_check_keys(data, "data")) + list(_check_base64(data, "data"))
    if sum(len(str(value)) for value in data.values()) * 3 // 4 > DATA_LIMIT_BYTES:
        found.append(too_long("data", DATA_LIMIT_BYTES))
    found += [required(f"data[{key}]") for key in _SECRET_NEEDS.get(obj.get("type", ""), ()) if key not in data]
    if old is not None and obj.get("type") != old.get("type"):
        found.append(invalid("type", obj.get("type"), "field is immutable"))
    return found + _check_immutable(obj, old, ("data",))


def _check_keys(data: Object, path: str) -> Iterator[FieldError]:
    for key in data:
        if names.data_key(key):
            yield invalid(f"{path}[{key}]", key, names.data_key(key))


def _check_base64(data: Object, path: str) -> Iterator[FieldError]:
    for key, value in data.items():
        try:
            base64.b64decode(value or "", validate=True)
        except (binascii.Error, ValueError):
            yield FieldError(f"{path}[{key}]", "Invalid value: illegal base64 data", "FieldValueInvalid")


def _check_immutable(obj: Object, old: Object | None, fields: tuple[str, ...]) -> list[FieldError]:
    if old is None or not old.get("immutable"):
        return []
    found = [] if obj.get("immutable") else [forbidden("immutable", "field is immutable when `immutable` is set")]
    changed = [field for field in fields if (old.get(field) or {}) != (obj.get(field) or {})]
    return found + [forbidden(field, "field is immutable when `immutable` is set") for field in changed]


# Access


def check_role(obj: Object, _: Object | None) -> list[FieldError]:
    """Check a Role or ClusterRole: each rule has verbs, and either resources or URLs."""
    found = []
    for index, rule in enumerate(obj.get("rules") or []):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            found.append(required(f"{path}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            continue
        found += [
            required(f"{path}.{field}", f"resource rules must supply at least one {word}")
            for field, word in (("apiGroups", "api group"), ("resources", "resource"))
            if not rule.get(field)
        ]
    return found


def check_role_binding(obj: Object, old: Object | None) -> list[FieldError]:
    """Check a RoleBinding or ClusterRoleBinding: what it refers to, and that this stays."""
    reference = obj.get("roleRef") or {}
    found = []
    if reference.get("kind") not in ("Role", "ClusterRole"):
        found.append(unsupported("roleRef.kind", reference.get("kind"), ("Role", "ClusterRole")))
    if not reference.get("name"):
        found.append(required("roleRef.name"))
    for index, subject in enumerate(obj.get("subjects") or []):
        path = f"subjects[{index}]"
        if subject.get("kind") not in ("ServiceAccount", "User", "Group"):
            found.append(unsupported(f"{path}.kind", subject.get("kind"), ("ServiceAccount", "User", "Group")))
        if not subject.get("name"):
            found.append(required(f"{path}.name"))
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            found.append(required(f"{path}.namespace"))
    if old is not None and old.get("roleRef") != obj.get("roleRef"):
        found.append(invalid("roleRef", obj.get("roleRef"), "cannot change roleRef"))
    return found
