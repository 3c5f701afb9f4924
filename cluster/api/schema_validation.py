"""Validation of values against the OpenAPI v3 subset that CustomResourceDefinitions use. Pure.

Messages and reasons are those an API server gives. Keywords are checked by the function for the JSON type they concern
(`_CHECKS`). Not evaluated: `x-kubernetes-validations` (CEL) and formats not listed in `schema_formats`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from cluster.api.field_errors import FieldError, duplicate, invalid, required, shown, unsupported, wrong_type
from cluster.api.json_values import same
from cluster.api.schema_formats import is_of_format
from tidegate.kube.api import Object

Check = Callable[[Any, Object, str], Iterator[FieldError]]


def validate(obj: Any, schema: Object, path: str = "") -> list[FieldError]:
    """Return what is wrong with a value under `schema`; paths start at `path`."""
    return list(_check(obj, schema, path))


def _check(value: Any, schema: Any, path: str) -> Iterator[FieldError]:
    if not isinstance(schema, dict):
        return
    if value is None:
        if not schema.get("nullable") and (schema.get("type") or schema.get("x-kubernetes-int-or-string")):
            yield wrong_type(path, value, _wanted(schema))
        return
    if not _has_type(value, schema):
        yield wrong_type(path, value, _wanted(schema))
        return
    if "enum" in schema and not any(same(value, choice) for choice in schema["enum"]):
        yield unsupported(path, value, schema["enum"])
    for check in _CHECKS.get(type(value), ()):
        yield from check(value, schema, path)
    if not _COMBINATIONS.isdisjoint(schema):
        yield from _check_combinations(value, schema, path)


def _wanted(schema: Object) -> str:
    return "integer,string" if schema.get("x-kubernetes-int-or-string") else str(schema["type"])


def _has_type(value: Any, schema: Object) -> bool:
    if schema.get("x-kubernetes-int-or-string"):
        return isinstance(value, int | str) and not isinstance(value, bool)
    match schema.get("type"):
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return not isinstance(value, bool) and (
                isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            )
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
    return True


# Scalars


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Compile a pattern; None for one that Python cannot read, which then holds for everything."""
    try:
        return re.compile(pattern.replace(r"\z", r"\Z"))
    except re.error:
        return None


def _in_body(path: str, value: Any, rule: str) -> FieldError:
    return invalid(path, value, f"{path} in body should {rule}")


def _check_string(value: str, schema: Object, path: str) -> Iterator[FieldError]:
    if len(value) > schema.get("maxLength", len(value)):
        text = f"Too long: may not be more than {schema['maxLength']} bytes"
        yield FieldError(path, text, "FieldValueTooLong")
    if len(value) < schema.get("minLength", 0):
        yield _in_body(path, value, f"be at least {schema['minLength']} chars long")
    pattern = _compiled(schema["pattern"]) if "pattern" in schema else None
    if pattern is not None and not pattern.search(value):
        yield _in_body(path, value, f"match '{schema['pattern']}'")
    if "format" in schema and not is_of_format(value, schema["format"]):
        yield invalid(path, value, f"{path} in body must be of type {schema['format']}: {shown(value)}")


def _check_number(value: float, schema: Object, path: str) -> Iterator[FieldError]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and (value < low or (value == low and schema.get("exclusiveMinimum") is True)):
        words = "greater than" if schema.get("exclusiveMinimum") is True else "greater than or equal to"
        yield _in_body(path, value, f"be {words} {low}")
    if high is not None and (value > high or (value == high and schema.get("exclusiveMaximum") is True)):
        words = "less than" if schema.get("exclusiveMaximum") is True else "less than or equal to"
        yield _in_body(path, value, f"be {words} {high}")
    factor = schema.get("multipleOf")
    if factor and abs(value / factor - round(value / factor)) > 1e-9:
        yield _in_body(path, value, f"be a multiple of {factor}")
    if "format" in schema and not is_of_format(value, schema["format"]):
        yield invalid(path, value, f"{path} in body must be of type {schema['format']}: {shown(value)}")


# Lists and maps


def _check_list(value: list[Any], schema: Object, path: str) -> Iterator[FieldError]:
    if len(value) > schema.get("maxItems", len(value)):
        text = f"Too many: {len(value)}: must have at most {schema['maxItems']} items"
        yield FieldError(path, text, "FieldValueTooMany")
    if len(value) < schema.get("minItems", 0):
        yield _in_body(path, len(value), f"have at least {schema['minItems']} items")
    kind = schema.get("x-kubernetes-list-type")
    if schema.get("uniqueItems") and any(True for _ in _repeated(value, ())):
        yield _in_body(path, value, "not contain duplicates")
    if kind in ("set", "map"):
        keys = tuple(schema.get("x-kubernetes-list-map-keys") or ()) if kind == "map" else ()
        yield from (duplicate(f"{path}[{index}]", key) for index, key in _repeated(value, keys))
    if isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            yield from _check(item, schema["items"], f"{path}[{index}]")


def _repeated(items: list[Any], keys: tuple[str, ...]) -> Iterator[tuple[int, Any]]:
    """Yield position and key of items whose key (the whole item without keys) was there before."""
    seen = set()
    for index, item in enumerate(items):
        key = {field: item.get(field) for field in keys} if keys and isinstance(item, dict) else item
        text = json.dumps(key, sort_keys=True)
        if text in seen:
            yield index, key
        seen.add(text)


def _check_map(value: Object, schema: Object, path: str) -> Iterator[FieldError]:
    for field in schema.get("required") or ():
        if field not in value:
            yield required(_join(path, field))
    if len(value) > schema.get("maxProperties", len(value)):
        text = f"Too many: {len(value)}: must have at most {schema['maxProperties']} items"
        yield FieldError(path, text, "FieldValueTooMany")
    if len(value) < schema.get("minProperties", 0):
        yield _in_body(path, len(value), f"have at least {schema['minProperties']} properties")
    properties, rest = schema.get("properties") or {}, schema.get("additionalProperties")
    for field, inner in properties.items():
        if field in value:
            yield from _check(value[field], inner, _join(path, field))
    if isinstance(rest, dict):
        for field in value:
            if field not in properties:
                yield from _check(value[field], rest, _join(path, field))
    elif rest is False:
        for field in value:
            if field not in properties:
                yield FieldError(
                    _join(path, field), "Forbidden: additional properties are not allowed", "FieldValueForbidden"
                )


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field


# Combinations


_COMBINATIONS = {"allOf", "anyOf", "oneOf", "not"}


def _check_combinations(value: Any, schema: Object, path: str) -> Iterator[FieldError]:
    for inner in schema.get("allOf") or ():
        yield from _check(value, inner, path)
    if schema.get("anyOf") and not any(_holds(value, inner) for inner in schema["anyOf"]):
        yield _bad_combination(path, value, "validate at least one schema (anyOf)")
    if schema.get("oneOf") and sum(_holds(value, inner) for inner in schema["oneOf"]) != 1:
        yield _bad_combination(path, value, "validate one and only one schema (oneOf)")
    if schema.get("not") and _holds(value, schema["not"]):
        yield _bad_combination(path, value, "not validate the schema (not)")


def _holds(value: Any, schema: Object) -> bool:
    return next(_check(value, schema, ""), None) is None


def _bad_combination(path: str, value: Any, rule: str) -> FieldError:
    return invalid(path, value, f'"{path or "<nil>"}" must {rule}')


_CHECKS: dict[type, tuple[Check, ...]] = {
    str: (_check_string,),
    int: (_check_number,),
    float: (_check_number,),
    list: (_check_list,),
    dict: (_check_map,),
}
