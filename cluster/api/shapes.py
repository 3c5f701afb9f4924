"""How the parts of an object merge and who can own them: the view of a kind that server-side apply needs. Pure.

A shape stands for one place in an object. Built-in kinds take their facts from `list_keys`, custom ones from the
`x-kubernetes-*` markers of their schema. Where nothing is known maps merge by key and lists are one value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.api import builtin_schemas, field_paths, list_keys
from tidegate.kube.api import Object

Items = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """One place: by names for built-in kinds (`schema` is None), by its schema for custom ones."""

    kind: str = ""
    owner: str = ""
    name: str = ""
    schema: Object | None = None

    def child(self, name: str) -> Shape:
        """Return the shape of a field of the object (or list item) here."""
        if self.schema is None:
            return Shape(self.kind, self.name, name)
        if name == "metadata" and (self.name == "" or self.schema.get("x-kubernetes-embedded-resource")):
            return Shape("", "", "metadata")
        inner = (self.schema.get("properties") or {}).get(name, self.schema.get("additionalProperties"))
        return Shape("", self.name, name, inner if isinstance(inner, dict) else {})

    def item(self) -> Shape:
        """Return the shape of an item of the list here."""
        if self.schema is None:
            return self
        inner = self.schema.get("items")
        return Shape("", self.owner, self.name, inner if isinstance(inner, dict) else {})

    @property
    def is_atomic_map(self) -> bool:
        """Whether the map here is owned as one value."""
        if self.schema is None:
            return list_keys.is_atomic_map(self.name)
        return self.schema.get("x-kubernetes-map-type") == "atomic"

    def items(self, values: list[Any]) -> Items | None:
        """Return a list's items by path element; None when the list here is, or has to be taken as, one value."""
        rule_keys, is_set = self._rule()
        if is_set:
            found = {field_paths.value(value): value for value in values}
        elif rule_keys:
            found = {}
            for value in values:
                element = self._element(value, rule_keys)
                if element is None:
                    return None
                found[element] = value
        else:
            return None
        return found if len(found) == len(values) else None

    def key_names(self) -> tuple[str, ...]:
        """Return the fields that identify an item of the list here."""
        return self._rule()[0]

    def _rule(self) -> tuple[tuple[str, ...], bool]:
        if self.schema is None:
            rule = list_keys.list_rule(self.kind, self.owner, self.name)
            return rule.apply_keys, rule.is_set
        kind = self.schema.get("x-kubernetes-list-type")
        keys = tuple(self.schema.get("x-kubernetes-list-map-keys") or ()) if kind == "map" else ()
        return keys, kind == "set"

    def _element(self, value: Any, keys: tuple[str, ...]) -> str | None:
        if not isinstance(value, dict):
            return None
        found = {key: value.get(key, self._key_default(key)) for key in keys}
        return None if all(part is None for part in found.values()) else field_paths.key(_present(found))

    def _key_default(self, key: str) -> Any:
        if self.schema is None:
            return list_keys.KEY_DEFAULTS.get(key)
        properties = (self.schema.get("items") or {}).get("properties") or {}
        return (properties.get(key) or {}).get("default")


def _present(keys: Object) -> Object:
    return {key: part for key, part in keys.items() if part is not None}


def shape_of(obj: Object, schema: Object | None) -> Shape:
    """Return the shape of a whole object; a custom kind without schema has a shape of which nothing is known."""
    if schema is not None:
        return Shape(schema=schema)
    group = str(obj.get("apiVersion", "")).rpartition("/")[0]
    kind = str(obj.get("kind", ""))
    return Shape(kind) if builtin_schemas.is_known(kind, group) else Shape(schema={})
