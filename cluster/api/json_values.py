"""Copying of JSON values. Pure.

Objects are plain dictionaries that the store, the watch history and requests share; whoever returns a changed object
from an unchanged input copies with this: several times quicker than copy.deepcopy, whose memo we have no use for.
"""

from __future__ import annotations

from typing import Any


def copied(value: Any) -> Any:
    """Return a copy that shares no dictionary or list with `value`."""
    kind = type(value)
    if kind is dict:
        return {key: copied(item) for key, item in value.items()}
    if kind is list:
        return [copied(item) for item in value]
    return value


def same(left: Any, right: Any) -> bool:
    """JSON equality: unlike Python's, true is not 1; 1 and 1.0 are the same number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(item, right[key]) for key, item in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)
