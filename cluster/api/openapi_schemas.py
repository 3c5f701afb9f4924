"""Schemas of the built-in kinds and of CRDs in the form OpenAPI documents have them. Pure.

Built-in schemas are made from the field table of `builtin_schemas`: names and types, few descriptions. They say nothing
about values, because the server itself validates; clients use them to explain fields and to find out what a kind is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from cluster.api import builtin_schemas, list_keys
from tidegate.kube.api import Object

GVK = "x-kubernetes-group-version-kind"
_SCALARS: dict[str, Object] = {
    "s": {"type": "string"},
    "i": {"type": "integer", "format": "int64"},
    "n": {"type": "number"},
    "b": {"type": "boolean"},
    "t": {"type": "string", "format": "date-time"},
    "q": {"type": "string"},
    "x": {"x-kubernetes-int-or-string": True, "oneOf": [{"type": "integer"}, {"type": "string"}]},
    "?": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}
_DESCRIPTIONS = {
    "apiVersion": "Version of this representation of the object, as group/version.",
    "kind": "The kind of object that this is.",
    "metadata": "Name, namespace, labels, annotations and what the server records about the object.",
    "spec": "The desired state.",
    "status": "The observed state, written by controllers.",
}
_PLURALS = {"Endpoints": "endpoints", "NetworkPolicy": "networkpolicies", "PriorityClass": "priorityclasses"}
_CLUSTER_SCOPED = frozenset(
    {"Namespace", "Node", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PriorityClass"}
    | {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
)


_NOT_IN_SWAGGER = frozenset({"oneOf", "anyOf", "not", "nullable"})


class Described(NamedTuple):
    """One kind in one version, with the name of its schema."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    definition: str
    schema: Object

    @property
    def group_version(self) -> str:
        """`api/v1` or `apis/<group>/<version>`: the key of its document."""
        return f"apis/{self.group}/{self.version}" if self.group else f"api/{self.version}"

    @property
    def gvk(self) -> Object:
        """Group, version and kind as the extension has them."""
        return {"group": self.group, "version": self.version, "kind": self.kind}


def built_in_kinds() -> Iterator[Described]:
    """Yield the built-in kinds; their schemas refer to `built_in_types`."""
    for group, (version, kinds) in builtin_schemas.GROUPS.items():
        for kind in kinds.split():
            plural = _PLURALS.get(kind, f"{kind.lower()}s")
            name = f"io.k8s.api.{group.partition('.')[0] or 'core'}.{version}.{kind}"
            yield Described(group, version, kind, plural, kind not in _CLUSTER_SCOPED, name, {})


def custom_kinds(crds: list[Object]) -> Iterator[Described]:
    """Yield the served versions of CRDs."""
    for crd in crds:
        spec = crd["spec"]
        for version in spec.get("versions") or []:
            if version.get("served"):
                yield _custom_kind(spec, version)


def _custom_kind(spec: Object, version: Object) -> Described:
    group, names = spec["group"], spec["names"]
    name = ".".join([*reversed(group.split(".")), version["name"], names["kind"]])
    schema = dict((version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"})
    properties = dict(schema.get("properties") or {})
    for field in ("apiVersion", "kind"):
        properties[field] = {"type": "string", "description": _DESCRIPTIONS[field]}
    properties["metadata"] = _reference("ObjectMeta", "metadata")
    schema["properties"] = properties
    namespaced = spec.get("scope") != "Cluster"
    return Described(group, version["name"], names["kind"], names["plural"], namespaced, name, schema)


def type_name(name: str) -> str:
    """Return the name of a built-in type's schema."""
    meta = ("ObjectMeta", "ManagedFieldsEntry", "OwnerReference", "LabelSelector", "LabelSelectorRequirement")
    return f"io.k8s.apimachinery.pkg.apis.meta.v1.{name}" if name in meta else f"io.k8s.api.core.v1.{name}"


def schema_of_type(name: str, prefix: str) -> Object:
    """Return the schema of a built-in type or kind; references start with `prefix`."""
    fields = builtin_schemas.types()[name]
    properties = {field: _field(name, field, kind) for field, kind in fields.items()}
    schema: Object = {"type": "object", "description": f"The fields of {name}.", "properties": properties}
    prefixed: Object = _prefixed(schema, prefix)
    return prefixed


def _field(owner: str, field: str, kind: builtin_schemas.FieldType) -> Object:
    inner = dict(_SCALARS[kind.name]) if kind.name in _SCALARS else _reference(kind.name, field)
    if kind.shape == "list":
        schema: Object = {"type": "array", "items": inner}
        rule = list_keys.list_rule("Service" if owner == "ServiceSpec" else "", _owner_field(owner), field)
        if rule.apply_keys:
            schema |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(rule.apply_keys)}
        if rule.patch_key or rule.is_set:
            # kubectl before 1.27 computes the patches of `apply` from these markers.
            schema["x-kubernetes-patch-strategy"] = "merge"
        if rule.patch_key:
            schema["x-kubernetes-patch-merge-key"] = rule.patch_key
        return schema
    schema = {"type": "object", "additionalProperties": inner} if kind.shape == "map" else inner
    return schema | {"description": _DESCRIPTIONS[field]} if field in _DESCRIPTIONS else schema


def _owner_field(type_name_: str) -> str:
    """Return the field under which objects of a type usually stand: `list_keys` knows owners by field."""
    if type_name_.endswith("Spec"):
        return "spec"
    if type_name_.endswith("Status"):
        return "status"
    return {"Container": "containers", "ObjectMeta": "metadata"}.get(type_name_, "")


def _reference(name: str, field: str) -> Object:
    described = {"description": _DESCRIPTIONS[field]} if field in _DESCRIPTIONS else {}
    return {"allOf": [{"$ref": type_name(name)}], "default": {}} | described


def _prefixed(value: Any, prefix: str) -> Any:
    """Return a copy of a schema with every reference starting with `prefix`."""
    if isinstance(value, dict):
        return {
            key: f"{prefix}{inner}" if key == "$ref" and isinstance(inner, str) else _prefixed(inner, prefix)
            for key, inner in value.items()
        }
    return [_prefixed(item, prefix) for item in value] if isinstance(value, list) else value


def as_swagger(schema: Any) -> Any:
    """Return a v3 schema as a v2 document can say it: bare references, no `oneOf`, values of two types as strings."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        kept = {
            key: inner
            for key, inner in schema.items()
            if key in ("description", "default", "x-kubernetes-int-or-string")
        }
        return kept | {"type": "string", "format": "int-or-string"}
    found = {key: _inner_as_swagger(key, inner) for key, inner in schema.items() if key not in _NOT_IN_SWAGGER}
    _open_what_may_differ(found, schema)
    whole = found.get("allOf")
    if isinstance(whole, list) and len(whole) == 1 and "$ref" in whole[0]:
        del found["allOf"]
        found.pop("default", None)
        found |= whole[0]
    return found


def _inner_as_swagger(key: str, inner: Any) -> Any:
    """Return what stands in a schema under `key`: names of properties and defaults are no words of schemas."""
    if key == "properties":
        return {name: as_swagger(schema) for name, schema in inner.items()}
    if key == "allOf":
        return [as_swagger(schema) for schema in inner]
    return as_swagger(inner) if key in ("items", "additionalProperties") else inner


def _open_what_may_differ(found: Object, schema: Object) -> None:
    """Leave out what clients that validate by v2 would refuse though the server takes it.

    They take named fields for all there are, a null for a missing value, and know no array without items.
    """
    is_null_too = bool(schema.get("nullable"))
    if is_null_too or schema.get("x-kubernetes-preserve-unknown-fields") is True:
        found.pop("properties", None)
        found.pop("items", None)
    if is_null_too or (found.get("type") == "array" and "items" not in found):
        found.pop("type", None)
    properties = schema.get("properties") or {}
    required = [name for name in found.pop("required", ()) if not properties.get(name, {}).get("nullable")]
    if required:
        found["required"] = required


def schema_of_kind(kind: Described, prefix: str) -> Object:
    """Return the schema of a kind with its group, version and kind; references start with `prefix`."""
    schema = _prefixed(kind.schema, prefix) if kind.schema else schema_of_type(kind.kind, prefix)
    return {**schema, GVK: [kind.gvk]}


def types_used(kinds: list[Described]) -> list[str]:
    """Return the built-in types that the schemas of these kinds refer to, directly or not."""
    table = builtin_schemas.types()
    found = {"ObjectMeta": None}
    waiting = ["ObjectMeta", *(kind.kind for kind in kinds if not kind.schema)]
    while waiting:
        for field in table[waiting.pop()].values():
            if field.name in table and field.name not in found:
                found[field.name] = None
                waiting.append(field.name)
    return sorted(found)
