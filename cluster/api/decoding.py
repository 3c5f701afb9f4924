"""(pure) A client's object brought into the shape of its kind: nulls and unknown fields out, reported as asked.

Kubernetes decodes into types, so what a type does not have never reaches the store; here the tables and schemas of the
kinds say what that is. `fieldValidation` decides whether the client hears of it: Strict refuses, Warn warns.
"""

from __future__ import annotations

import re
from typing import Any

from cluster.api import builtins, schema, status
from cluster.api.kinds import Kind
from cluster.api.users import Call
from tidegate.kube.api import Object

STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def decode(kind: Kind, obj: Object, call: Call, live: Object | None = None) -> Object:
    """Return `obj` without what is not part of its kind; raises `ApiError` BadRequest in strict field validation.

    With an update, `live` is the object as stored: parts equal to its are not looked at again.
    """
    if kind.is_custom:
        _report(kind, schema.unknown_fields(obj, kind.schema) if kind.schema else [], call)
        return schema.prune(obj, kind.schema) if kind.schema else obj
    for field in [field for field, value in obj.items() if value is None]:
        del obj[field]
    parts = changed_parts(obj, live)
    drop_nulls(parts)
    unknown = builtins.unknown_builtin_fields(kind.kind, kind.group, parts)
    _report(kind, unknown, call)
    for path in reversed(unknown):
        _remove(obj, path)
    return obj


def changed_parts(obj: Object, live: Object | None) -> Object:
    """Return the top-level fields of `obj` that differ from those of `live`; everything without one."""
    if live is None:
        return obj
    return {field: value for field, value in obj.items() if field not in live or live[field] != value}


def _report(kind: Kind, unknown: list[str], call: Call) -> None:
    if not unknown or call.field_validation == "Ignore":
        return
    texts = [f'unknown field "{path}"' for path in unknown]
    if call.field_validation == "Warn":
        call.warnings.extend(text for text in texts if text not in call.warnings)
        return
    text = f"strict decoding error: {', '.join(texts)}"
    if not kind.is_custom:
        name, version = kind.kind, kind.version
        text = f'{name} in version "{version}" cannot be handled as a {name}: {text}'
    raise status.bad_request(text)


def drop_nulls(value: Any) -> None:
    """Remove every null field from nested objects, in place: for typed kinds null means absent."""
    if isinstance(value, dict):
        for key in [key for key, item in value.items() if item is None]:
            del value[key]
        for item in value.values():
            drop_nulls(item)
    elif isinstance(value, list):
        for item in value:
            drop_nulls(item)


def _remove(obj: Any, path: str) -> None:
    steps = [int(index) if index else field for field, index in STEP.findall(path)]
    for step in steps[:-1]:
        try:
            obj = obj[step]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(obj, dict):
        obj.pop(steps[-1], None)
