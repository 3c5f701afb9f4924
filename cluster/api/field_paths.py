"""Sets of field paths and their FieldsV1 form, the notation of `metadata.managedFields`. Pure.

A path is a tuple of elements: `f:name` (field), `k:{"name":"x"}` (list item by its keys), `v:"x"` (item of a set). In
FieldsV1 the paths of a set are nested; an empty object ends a path, and `.` says that a path ends where others go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tidegate.kube.api import Object

Path = tuple[str, ...]


def decoded(fields: Object) -> set[Path]:
    """Return the set of paths in a FieldsV1 object."""
    found: set[Path] = set()
    _collect(fields, (), found)
    return found


def _collect(node: Object, path: Path, found: set[Path]) -> None:
    for element, inner in node.items():
        if element == ".":
            found.add(path)
        elif inner:
            _collect(inner, (*path, element), found)
        else:
            found.add((*path, element))


def encoded(paths: Iterable[Path]) -> Object:
    """Return the FieldsV1 object of a set of paths, in a stable order."""
    root: Object = {}
    for path in sorted(paths):
        node = root
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    _tidy(root)
    return root


def _tidy(node: Object) -> None:
    for inner in node.values():
        if inner.keys() == {"."}:
            inner.clear()
        else:
            _tidy(inner)


def closed(paths: Iterable[Path]) -> set[Path]:
    """Return the paths together with every path that leads to one of them."""
    return {path[:end] for path in paths for end in range(1, len(path) + 1)}


def field(name: str) -> str:
    """Return the element of a field."""
    return f"f:{name}"


def value(item: Any) -> str:
    """Return the element of an item of a set."""
    return f"v:{_json(item)}"


def key(item: Object) -> str:
    """Return the element of a list item with these keys."""
    return f"k:{_json(item)}"


def _json(item: Any) -> str:
    return json.dumps(item, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def text(path: Path) -> str:
    """Return a path as people read it: `.spec.containers[name="a"].image`."""
    return "".join(_element_text(element) for element in path)


def _element_text(element: str) -> str:
    kind, _, rest = element.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "v":
        return f"[={rest}]"
    if kind == "k":
        return "[" + ",".join(f"{name}={_json(item)}" for name, item in json.loads(rest).items()) + "]"
    return f"[{rest}]"
