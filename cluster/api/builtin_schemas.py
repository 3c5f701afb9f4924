"""Which fields the built-in kinds have, and of which type: for type checks, `fieldValidation` and OpenAPI.

Pure. The facts stand in `pod_types` and `object_types`; this module parses them at first use. Types only: rules about
values are in `builtin_validation` and `pod_validation`.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from cluster.api import object_types, pod_types
from cluster.api.field_errors import FieldError, wrong_type
from tidegate.kube.api import Object

# Kinds by API group, each with the version it is served in.
GROUPS: dict[str, tuple[str, str]] = {
    "": (
        "v1",
        "Pod Service Namespace Node ConfigMap Secret ServiceAccount Event Endpoints PersistentVolumeClaim "
        "ResourceQuota LimitRange",
    ),
    "apps": ("v1", "Deployment ReplicaSet"),
    "rbac.authorization.k8s.io": ("v1", "Role RoleBinding ClusterRole ClusterRoleBinding"),
    "admissionregistration.k8s.io": ("v1", "MutatingWebhookConfiguration ValidatingWebhookConfiguration"),
    "apiextensions.k8s.io": ("v1", "CustomResourceDefinition"),
    "discovery.k8s.io": ("v1", "EndpointSlice"),
    "coordination.k8s.io": ("v1", "Lease"),
    "policy": ("v1", "PodDisruptionBudget"),
    "autoscaling": ("v2", "HorizontalPodAutoscaler"),
    "networking.k8s.io": ("v1", "NetworkPolicy"),
    "scheduling.k8s.io": ("v1", "PriorityClass"),
}


class FieldType(NamedTuple):
    """A field's type: `shape` is one, list or map; `name` a letter of `pod_types` or another type."""

    shape: str
    name: str


_SHAPES = {"[": "list", "{": "map"}
_SCALARS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "s": (str, "string"),
    "t": (str, "string"),
    "i": (int, "integer"),
    "n": ((int, float), "number"),
    "b": (bool, "boolean"),
    "q": ((str, int, float), "string"),
    "x": ((str, int), "integer,string"),
}


@functools.cache
def types() -> dict[str, dict[str, FieldType]]:
    """Return every type with its fields."""
    found = {}
    for text in (pod_types.TYPES, object_types.TYPES):
        for name, body in re.findall(r"^(\w+) = ((?:.|\n    )*)", text, re.MULTILINE):
            fields = (part.split(":") for part in body.split())
            found[name] = {field: _field_type(kind) for field, kind in fields}
    return found


def _field_type(text: str) -> FieldType:
    return FieldType(_SHAPES.get(text[0], "one"), text.strip("[]{}"))


def is_known(kind: str, group: str) -> bool:
    """Whether the fields of this kind are known here."""
    return kind in GROUPS.get(group, ("", ""))[1].split()


class Findings(NamedTuple):
    """What one walk over an object found: paths of unknown fields, and values of the wrong type."""

    unknown: list[str]
    errors: list[FieldError]


def check_fields(kind: str, group: str, obj: Object) -> Findings:
    """Compare an object's fields with its kind's; a kind not known here has no findings."""
    findings = Findings([], [])
    if is_known(kind, group):
        _check_object(obj, kind, "", findings)
    return findings


def _check_object(obj: Any, type_name: str, path: str, findings: Findings) -> None:
    fields = types()[type_name]
    for field, value in obj.items():
        wanted = fields.get(field)
        if wanted is None:
            findings.unknown.append(path + field)
        elif value is not None and wanted.name != "?":
            _check_value(value, wanted, path + field, findings)


def _check_value(value: Any, wanted: FieldType, path: str, findings: Findings) -> None:
    if wanted.shape == "one":
        _check_one(value, wanted.name, path, findings)
    elif wanted.shape == "list":
        if not isinstance(value, list):
            findings.errors.append(wrong_type(path, value, "array"))
            return
        for index, item in enumerate(value):
            _check_one(item, wanted.name, f"{path}[{index}]", findings)
    elif not isinstance(value, dict):
        findings.errors.append(wrong_type(path, value, "object"))
    else:
        for key, item in value.items():
            _check_one(item, wanted.name, f"{path}.{key}", findings)


def _check_one(value: Any, name: str, path: str, findings: Findings) -> None:
    scalar = _SCALARS.get(name)
    if scalar is None:
        if isinstance(value, dict):
            _check_object(value, name, f"{path}.", findings)
        else:
            findings.errors.append(wrong_type(path, value, "object"))
    elif value is not None and (not isinstance(value, scalar[0]) or (isinstance(value, bool) and name != "b")):
        findings.errors.append(wrong_type(path, value, scalar[1]))
