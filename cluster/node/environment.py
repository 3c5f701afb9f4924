"""A container's environment: literal values, references, `$(VAR)` expansion.

Pure: ConfigMaps and Secrets are handed in. Order as Kubernetes has it: envFrom, then env; a later name wins, and
`$(NAME)` sees what stands before it. `$$` is a dollar sign, an unknown `$(NAME)` stays as it is.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from cluster import quantities
from tidegate.kube.api import Object, annotations_of, labels_of

Sources = Mapping[tuple[str, str], Mapping[str, bytes] | None]
"""(`configmap` or `secret`, name) -> its data, None when it does not exist."""

_REFERENCE = re.compile(r"\$\$|\$\(([^()$]+)\)")
_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


class ConfigError(Exception):
    """The container's configuration refers to something that is not there; the message names it."""


@dataclass(frozen=True)
class PodFacts:
    """What the downward API tells, beside the pod's own metadata."""

    pod_ip: str
    host_ip: str
    node_name: str
    allocatable: Mapping[str, str] = field(default_factory=dict)


def sources_of(pod: Object) -> set[tuple[str, str]]:
    """Return the ConfigMaps and Secrets that the environments of the pod's containers refer to."""
    found: set[tuple[str, str]] = set()
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        for one in container.get("envFrom") or []:
            found |= {(kind, one[_whole(kind)]["name"]) for kind in _kinds(one, "Ref")}
        for one in container.get("env") or []:
            source = one.get("valueFrom") or {}
            found |= {(kind, source[_key(kind)]["name"]) for kind in _kinds(source, "KeyRef")}
    return found


def build(container: Object, pod: Object, facts: PodFacts, sources: Sources) -> dict[str, str]:
    """Return the container's variables; raises `ConfigError` for a reference that is neither there nor optional."""
    found: dict[str, str] = {}
    for one in container.get("envFrom") or []:
        found.update(_from_whole(one, sources))
    for one in container.get("env") or []:
        source = one.get("valueFrom")
        value = expand(one.get("value") or "", found) if not source else _from(source, container, pod, facts, sources)
        if value is not None:
            found[one["name"]] = value
    return found


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; an unknown name stays, `$$` becomes `$`."""

    def value(found: re.Match[str]) -> str:
        if found[1] is None:
            return "$"
        return variables.get(found[1], found[0])

    return _REFERENCE.sub(value, text)


def field_value(path: str, pod: Object, facts: PodFacts) -> str:
    """Return what a fieldRef names; raises `ConfigError` for an unsupported path."""
    metadata = pod["metadata"]
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata.get("namespace", ""),
        "metadata.uid": metadata.get("uid", ""),
        "spec.nodeName": facts.node_name,
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName") or "default",
        "status.hostIP": facts.host_ip,
        "status.hostIPs": facts.host_ip,
        "status.podIP": facts.pod_ip,
        "status.podIPs": facts.pod_ip,
        "metadata.labels": _listed(labels_of(pod)),
        "metadata.annotations": _listed(annotations_of(pod)),
    }
    if path in simple:
        return str(simple[path])
    if found := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        return labels_of(pod).get(found[2], "") if found[1] == "labels" else annotations_of(pod).get(found[2], "")
    raise ConfigError(f"fieldRef {path!r} is not supported")


def resource_value(reference: Object, container: Object, pod: Object, facts: PodFacts) -> str:
    """Return what a resourceFieldRef names, divided by its divisor and rounded up."""
    if name := reference.get("containerName"):
        container = next((one for one in pod["spec"]["containers"] if one["name"] == name), container)
    section, _, resource = reference["resource"].partition(".")
    asked = container.get("resources") or {}
    text = (asked.get(section) or {}).get(resource)
    if text is None and section == "limits":
        text = facts.allocatable.get(resource)
    divisor = quantities.parse(reference.get("divisor") or "1") or Decimal(1)
    return str(math.ceil(quantities.parse(text or "0") / divisor))


def limits_of(container: Object) -> dict[str, int]:
    """Return the RLIMIT_* values in bytes that stand for the container's memory limit, nothing when it has none."""
    text = ((container.get("resources") or {}).get("limits") or {}).get("memory")
    return {"RLIMIT_DATA": math.ceil(quantities.parse(text))} if text else {}


def decoded(obj: Object) -> dict[str, bytes]:
    """Return the data of a ConfigMap or Secret as bytes."""
    if obj.get("kind") == "Secret":
        found = {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
        return {**found, **{key: value.encode() for key, value in (obj.get("stringData") or {}).items()}}
    found = {key: value.encode() for key, value in (obj.get("data") or {}).items()}
    return {**found, **{key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}}


def _key(kind: str) -> str:
    return {"configmap": "configMapKeyRef", "secret": "secretKeyRef"}[kind]


def _whole(kind: str) -> str:
    return {"configmap": "configMapRef", "secret": "secretRef"}[kind]


def _kinds(source: Object, ending: str) -> list[str]:
    known = {f"configMap{ending}": "configmap", f"secret{ending}": "secret"}
    return [kind for key, kind in known.items() if key in source]


def _from_whole(one: Object, sources: Sources) -> dict[str, str]:
    for kind in _kinds(one, "Ref"):
        reference = one[_whole(kind)]
        data = sources.get((kind, reference["name"]))
        if data is None:
            if reference.get("optional"):
                return {}
            raise ConfigError(f'{kind} "{reference["name"]}" not found')
        prefix = one.get("prefix") or ""
        names = {prefix + key: value for key, value in data.items() if _NAME.fullmatch(prefix + key)}
        return {key: value.decode("utf-8", "surrogateescape") for key, value in names.items()}
    return {}


def _from(source: Object, container: Object, pod: Object, facts: PodFacts, sources: Sources) -> str | None:
    if reference := source.get("fieldRef"):
        return field_value(reference["fieldPath"], pod, facts)
    if reference := source.get("resourceFieldRef"):
        return resource_value(reference, container, pod, facts)
    for kind in _kinds(source, "KeyRef"):
        reference = source[_key(kind)]
        data = sources.get((kind, reference["name"]))
        value = None if data is None else data.get(reference["key"])
        if value is not None:
            return value.decode("utf-8", "surrogateescape")
        if reference.get("optional"):
            return None
        if data is None:
            raise ConfigError(f'{kind} "{reference["name"]}" not found')
        raise ConfigError(f"couldn't find key {reference['key']} in {kind} {reference['name']}")
    raise ConfigError(f"valueFrom with none of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef: {source}")


def _listed(pairs: Mapping[str, str]) -> str:
    quote = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
    return "\n".join(f'{key}="{value.translate(quote)}"' for key, value in sorted(pairs.items()))
