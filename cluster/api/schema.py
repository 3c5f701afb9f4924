"""Structural schemas of CustomResourceDefinitions applied to objects: defaulting, pruning, unknown fields. Pure.

Validation is in `schema_validation` and offered here too. Functions return a new object where something changed and
share the rest with the input, which they never change. CEL rules (`x-kubernetes-validations`) are kept, not evaluated.
"""

from __future__ import annotations

from typing import Any

from cluster.api.field_errors import FieldError
from cluster.api.json_values import copied
from cluster.api.schema_validation import validate
from tidegate.kube.api import Object

__all__ = ["FieldError", "default", "prune", "unknown_fields", "validate"]

_PRESERVE, _EMBEDDED = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"
# An object says what it is and carries metadata whatever its schema lists.
_ROOT_FIELDS = ("apiVersion", "kind", "metadata")


def default(obj: Object, schema: Object) -> Object:
    """Return `obj` with the schema's defaults for absent fields; a null where null is not allowed counts as absent."""
    result: Object = _defaulted(obj, schema)
    return result


def _defaulted(value: Any, schema: Any) -> Any:
    if not isinstance(schema, dict):
        return value
    if isinstance(value, dict):
        return _defaulted_map(value, schema)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        items = [_defaulted(item, schema["items"]) for item in value]
        return value if _all_same(items, value) else items
    return value


def _all_same(left: list[Any], right: list[Any]) -> bool:
    return all(one is other for one, other in zip(left, right, strict=True))


def _defaulted_map(value: Object, schema: Object) -> Object:
    changes: Object = {}
    properties = schema.get("properties") or {}
    for field, inner in properties.items():
        current = value.get(field)
        if current is None and "default" in inner and not (field in value and inner.get("nullable")):
            current = copied(inner["default"])
        if current is not None:
            filled = _defaulted(current, inner)
            if filled is not value.get(field):
                changes[field] = filled
        elif field in value and not inner.get("nullable"):
            value = {name: kept for name, kept in value.items() if name != field}
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict):
        for field, current in value.items():
            filled = _defaulted(current, rest) if field not in properties else current
            if filled is not current:
                changes[field] = filled
    return value | changes if changes else value


def prune(obj: Object, schema: Object) -> Object:
    """Return `obj` without the fields that its schema does not name."""
    pruned: Object = _pruned(obj, schema, "", None, is_root=True)
    return pruned


def unknown_fields(obj: Object, schema: Object) -> list[str]:
    """Return the paths of what `prune` would take away, in the order they stand in the object."""
    found: list[str] = []
    _pruned(obj, schema, "", found, is_root=True)
    return found


def _pruned(value: Any, schema: Any, path: str, found: list[str] | None, *, is_root: bool = False) -> Any:
    if not isinstance(schema, dict):
        return value
    if isinstance(value, dict):
        return _pruned_map(value, schema, path, found, is_root or bool(schema.get(_EMBEDDED)))
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        items = [_pruned(item, schema["items"], f"{path}[{index}]", found) for index, item in enumerate(value)]
        return value if _all_same(items, value) else items
    return value


def _pruned_map(value: Object, schema: Object, path: str, found: list[str] | None, is_object: bool) -> Object:
    properties = schema.get("properties") or {}
    rest = schema.get("additionalProperties")
    keeps_all = schema.get(_PRESERVE) is True or rest is True
    result: Object = {}
    for field, current in value.items():
        here = f"{path}.{field}" if path else field
        if is_object and field in _ROOT_FIELDS:
            result[field] = current
        elif field in properties:
            result[field] = _pruned(current, properties[field], here, found)
        elif isinstance(rest, dict):
            result[field] = _pruned(current, rest, here, found)
        elif keeps_all:
            result[field] = current
        elif found is not None:
            found.append(here)
    changed = len(result) != len(value) or any(result[field] is not value[field] for field in result)
    return result if changed else value
