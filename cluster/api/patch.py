"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386); strategic merge patch is in `strategic`, apply in `fields`.

Pure. Inputs are never changed and results share nothing with them. A patch says what changes; whether the result is a
good object is for validation to say afterwards.
"""

from __future__ import annotations

import re
from typing import Any

from cluster.api.json_values import copied, same
from cluster.api.patch_error import PatchError
from cluster.api.strategic import strategic_merge
from tidegate.kube.api import Object

__all__ = ["PatchError", "json_patch", "merge_patch", "strategic_merge"]

# A patch may copy values into themselves; without a bound a short one could grow without end.
MAX_OPERATIONS = 10_000
_INDEX = re.compile("0|[1-9][0-9]*")


def merge_patch(obj: Object, patch: Object) -> Object:
    """Return `obj` with `patch` merged in: objects merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        raise PatchError("a merge patch must be a JSON object")
    merged: Object = _merged(obj, patch)
    return merged


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copied(patch)
    source = target if isinstance(target, dict) else {}
    result = {key: copied(value) for key, value in source.items() if key not in patch}
    for key, value in patch.items():
        if value is not None:
            result[key] = _merged(source.get(key), value)
    # Keys keep the place they had, so that a patched object reads like the one before.
    return {key: result[key] for key in (*(key for key in source if key in result), *result)}


def json_patch(obj: Object, ops: list[Object]) -> Object:
    """Return `obj` after all operations in order; raises PatchError at the first that cannot be done."""
    if not isinstance(ops, list) or len(ops) > MAX_OPERATIONS:
        raise PatchError(f"a JSON patch must be a list of at most {MAX_OPERATIONS} operations")
    document = [copied(obj)]  # in a list, so that the root is replaced like any other value
    for operation in ops:
        if not isinstance(operation, dict):
            raise PatchError("each operation must be a JSON object")
        _perform(document, operation)
    if not isinstance(document[0], dict):
        raise PatchError("the patched document is not an object")
    return document[0]


def _perform(document: list[Any], operation: Object) -> None:
    name, path = operation.get("op"), operation.get("path")
    steps = _steps(path)
    if name in ("add", "replace", "test") and "value" not in operation:
        raise PatchError(f"{name} operation at {path!r} needs a value")
    match name:
        case "add":
            _add(document, steps, copied(operation["value"]))
        case "remove":
            _remove(document, steps)
        case "replace":
            holder, key = _holder(document, steps)
            _existing(holder, key, steps)
            holder[_position(holder, key, steps)] = copied(operation["value"])
        case "move":
            source = _steps(operation.get("from"))
            if steps[: len(source)] == source and len(steps) > len(source):
                raise PatchError(f"cannot move {operation['from']!r} into itself")
            _add(document, steps, _remove(document, source))
        case "copy":
            _add(document, steps, copied(_value(document, _steps(operation.get("from")))))
        case "test":
            if not same(_value(document, steps), operation["value"]):
                raise PatchError(f"testing value {path} failed: test failed")
        case _:
            raise PatchError(f"unexpected kind of operation: {name!r}")


def _steps(pointer: Any) -> list[str]:
    """Return the way from the list that holds the document to the value; the first step is the document itself."""
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise PatchError(f"not a JSON pointer: {pointer!r}")
    return ["0", *(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])]


def _pointer(steps: list[str]) -> str:
    return "".join(f"/{step}" for step in steps[1:])


def _position(holder: Any, key: str, steps: list[str]) -> Any:
    if isinstance(holder, dict):
        return key
    if isinstance(holder, list) and _INDEX.fullmatch(key):
        return int(key)
    raise PatchError(f"no such path: {_pointer(steps)}")


def _existing(holder: Any, key: str, steps: list[str]) -> Any:
    try:
        return holder[_position(holder, key, steps)]
    except (KeyError, IndexError):
        raise PatchError(f"no such path: {_pointer(steps)}") from None


def _holder(document: list[Any], steps: list[str]) -> tuple[Any, str]:
    holder: Any = document
    for depth, step in enumerate(steps[:-1], 1):
        holder = _existing(holder, step, steps[:depth])
    return holder, steps[-1]


def _value(document: list[Any], steps: list[str]) -> Any:
    holder, key = _holder(document, steps)
    return _existing(holder, key, steps)


def _add(document: list[Any], steps: list[str], value: Any) -> None:
    holder, key = _holder(document, steps)
    if holder is document:
        document[0] = value
    elif isinstance(holder, list):
        index = len(holder) if key == "-" else _position(holder, key, steps)
        if index > len(holder):
            raise PatchError(f"index out of bounds: {_pointer(steps)}")
        holder.insert(index, value)
    else:
        holder[_position(holder, key, steps)] = value


def _remove(document: list[Any], steps: list[str]) -> Any:
    holder, key = _holder(document, steps)
    value = _existing(holder, key, steps)
    if holder is document:
        document[0] = None
    else:
        del holder[_position(holder, key, steps)]
    return value
