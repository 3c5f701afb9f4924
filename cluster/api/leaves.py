"""An object taken apart into owned values by path, merged, and relieved of paths. Pure; inputs are never changed.

Identity and what the server writes into metadata is nobody's and does not appear here.
"""

from __future__ import annotations

from typing import Any

from cluster.api.field_paths import Path, field
from cluster.api.json_values import copied
from cluster.api.shapes import Shape
from tidegate.kube.api import Object

SERVER_METADATA = frozenset(
    {"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields"}
    | {"resourceVersion", "selfLink", "uid"}
)
_UNOWNED_METADATA = SERVER_METADATA | {"name", "namespace"}
_KEPT_EMPTY = ("metadata", "spec", "status")
_HERE = ""


def leaves(obj: Object, shape: Shape) -> dict[Path, Any]:
    """Return every owned value of an object by its path; a list item's own path has the value True."""
    found: dict[Path, Any] = {}
    for name, value in obj.items():
        if name == "metadata":
            owned = {key: inner for key, inner in (value or {}).items() if key not in _UNOWNED_METADATA}
            if owned:
                _collect(owned, shape.child(name), (field(name),), found)
        elif name not in ("apiVersion", "kind"):
            _collect(value, shape.child(name), (field(name),), found)
    return found


def _collect(value: Any, shape: Shape, path: Path, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value and not shape.is_atomic_map:
        for name, inner in value.items():
            _collect(inner, shape.child(name), (*path, field(name)), found)
        return
    items = shape.items(value) if isinstance(value, list) and value else None
    if items is None:
        found[path] = value
        return
    for element, item in items.items():
        found[*path, element] = True
        if isinstance(item, dict):
            for name, inner in item.items():
                _collect(inner, shape.item().child(name), (*path, element, field(name)), found)


def merged(live: Any, applied: Any, shape: Shape) -> Any:
    """Return `live` with everything `applied` states; null removes."""
    if isinstance(applied, dict) and not shape.is_atomic_map:
        before = live if isinstance(live, dict) else {}
        result = {name: copied(value) for name, value in before.items() if name not in applied}
        for name, value in applied.items():
            if value is not None:
                result[name] = merged(before.get(name), value, shape.child(name))
        return {name: result[name] for name in (*(name for name in before if name in result), *result)}
    if isinstance(applied, list):
        return _merged_list(live if isinstance(live, list) else [], applied, shape)
    return copied(applied)


def _merged_list(live: list[Any], applied: list[Any], shape: Shape) -> list[Any]:
    before, stated = shape.items(live), shape.items(applied)
    if before is None or stated is None:
        return [merged(None, item, shape.item()) for item in applied]
    result: list[Any] = []
    waiting = list(before)
    joined = max((index for index, element in enumerate(stated) if element in before), default=-1) + 1
    for element in list(stated)[:joined]:
        if element in waiting:
            # Items that only live has stay in front of the stated item they preceded.
            place = waiting.index(element)
            result += [copied(before[other]) for other in waiting[:place] if other not in stated]
            waiting = waiting[place + 1 :]
        result.append(merged(before.get(element), stated[element], shape.item()))
    result += [copied(before[other]) for other in waiting if other not in stated]
    return result + [merged(None, stated[element], shape.item()) for element in list(stated)[joined:]]


def without(obj: Object, paths: set[Path], shape: Shape) -> Object:
    """Return `obj` without the values at `paths`, and without maps and lists that this left empty."""
    tree: Object = {}
    for path in paths:
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node[_HERE] = {}
    for name in _KEPT_EMPTY:
        tree.get(field(name), {}).pop(_HERE, None)  # an object cannot lose these, only what is in them
    kept: Object = {}
    for name, value in obj.items():
        inner = tree.get(field(name))
        if inner is None:
            kept[name] = value
            continue
        rest = _relieved(value, inner, shape.child(name))
        if name in _KEPT_EMPTY:
            kept[name] = {} if rest is None else rest
        elif rest is not None:
            kept[name] = rest
    return kept


def _relieved(value: Any, tree: Object, shape: Shape) -> Any:
    """Return what is left of a value, None when nothing is."""
    if _HERE in tree:
        return None
    if isinstance(value, dict):
        left = {name: _kept(inner, tree.get(field(name)), shape.child(name)) for name, inner in value.items()}
        return {name: inner for name, inner in left.items() if inner is not None} or None
    items = shape.items(value) if isinstance(value, list) else None
    if items is None:
        return value
    rest = [_kept_item(item, tree.get(element), shape) for element, item in items.items()]
    return [item for item in rest if item is not None] or None


def _kept(value: Any, tree: Object | None, shape: Shape) -> Any:
    return value if tree is None else _relieved(value, tree, shape)


def _kept_item(item: Any, tree: Object | None, shape: Shape) -> Any:
    if tree is None or not isinstance(item, dict):
        return None if tree is not None else item
    rest = _relieved(item, tree, shape.item())
    if rest is None:
        return None
    # An item that stays for the sake of another manager's fields keeps what identifies it.
    return {name: item[name] for name in shape.key_names() if name in item} | rest
