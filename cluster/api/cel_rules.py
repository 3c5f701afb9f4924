"""(pure) `x-kubernetes-validations` of CRD schemas: which rule is evaluated on which value, and what a failure says.

A rule sees `self`, and on updates `oldSelf` where the old value is the same part of the object: fields by name, map
entries by key, items of `map` lists by their keys. A value that did not change is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cluster.api import expressions
from cluster.api.field_errors import FieldError, shown
from tidegate.kube.api import Object

RULES = "x-kubernetes-validations"
_OLD = re.compile(r"\boldSelf\b")
_WORDS = frozenset(
    {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"}
    | {"let", "loop", "package", "namespace", "return", "var", "void", "while"}
)
_MARKS = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ABSENT: Any = object()


def validate(obj: Object, old: Object | None, schema: Object) -> list[FieldError]:
    """Return what the rules of `schema` find wrong with `obj`, which replaces `old`."""
    return list(_check(obj, _ABSENT if old is None else old, schema, "", is_root=True))


def has_rules(schema: Any) -> bool:
    """Whether a schema has a rule anywhere."""
    if isinstance(schema, dict):
        return RULES in schema or any(has_rules(inner) for inner in schema.values())
    return isinstance(schema, list) and any(has_rules(inner) for inner in schema)


def check_schema(schema: Any, path: str) -> Iterator[tuple[FieldError | None, str]]:
    """Yield, for each rule of a schema, an error, or a warning text for a rule that cannot be enforced here."""
    if isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from check_schema(inner, f"{path}[{index}]")
    if not isinstance(schema, dict):
        return
    for index, rule in enumerate(schema.get(RULES) or []):
        where, text = f"{path}.{RULES}[{index}].rule", str(rule.get("rule", ""))
        try:
            expressions.compiled(text)
        except expressions.BadExpression as error:
            yield (
                FieldError(where, f"Invalid value: {shown(text)}: compilation failed: {error}", "FieldValueInvalid"),
                "",
            )
        except expressions.NotEnforced as error:
            yield None, f"{where} is not enforced: {error}"
    for field, inner in schema.items():
        if field not in (RULES, "default", "example", "enum"):
            yield from check_schema(inner, f"{path}.{field}")


def not_enforced(definition: Object) -> list[str]:
    """Return a warning for each rule of a CustomResourceDefinition that this server does not evaluate."""
    found = []
    for version in (definition.get("spec") or {}).get("versions") or []:
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        found += [text for _, text in check_schema(schema, f"version {version.get('name')}") if text]
    return found


def _check(value: Any, old: Any, schema: Any, path: str, *, is_root: bool = False) -> Iterator[FieldError]:
    if not isinstance(schema, dict) or value is None or (old is not _ABSENT and old == value and not is_root):
        return
    for rule in schema.get(RULES) or []:
        yield from _apply(rule, value, old, schema, path, is_root=is_root)
    if isinstance(value, dict):
        properties, rest = schema.get("properties") or {}, schema.get("additionalProperties")
        for field, inner in value.items():
            before = old.get(field, _ABSENT) if isinstance(old, dict) else _ABSENT
            here = f"{path}.{field}" if path else field
            yield from _check(inner, before, properties.get(field, rest), here)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            before = _same_item(inner, old, schema)
            yield from _check(inner, before, schema.get("items"), f"{path}[{index}]")


def _same_item(item: Any, old: Any, schema: Object) -> Any:
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list) or not isinstance(item, dict):
        return _ABSENT
    wanted = [item.get(key) for key in keys]
    return next((one for one in old if isinstance(one, dict) and [one.get(key) for key in keys] == wanted), _ABSENT)


def _apply(rule: Object, value: Any, old: Any, schema: Object, path: str, *, is_root: bool) -> Iterator[FieldError]:
    text = str(rule.get("rule", ""))
    variables = {"self": _escaped(value, schema, is_root=is_root)}
    if _OLD.search(text):
        if old is _ABSENT:
            return
        variables["oldSelf"] = _escaped(old, schema, is_root=is_root)
    try:
        if expressions.evaluate(text, variables) is True:
            return
        problem = _message(rule, text, variables)
    except (expressions.NotEnforced, expressions.BadExpression):
        return  # told when the definition was written
    except expressions.EvaluationFailed as error:
        problem = f"rule evaluation error: {error} evaluating rule: {text}"
    where = f"{path}{rule['fieldPath']}".lstrip(".") if rule.get("fieldPath") else path
    kinds: dict[type, str] = {dict: "object", list: "array"}
    value_shown = shown(kinds.get(type(value), value))
    if rule.get("reason") in ("FieldValueRequired", "FieldValueForbidden", "FieldValueDuplicate"):
        words = {"FieldValueRequired": "Required value", "FieldValueForbidden": "Forbidden"}
        word = words.get(rule["reason"], f"Duplicate value: {value_shown}")
        yield FieldError(where, f"{word}: {problem}", str(rule["reason"]))
        return
    yield FieldError(where, f"Invalid value: {value_shown}: {problem}", "FieldValueInvalid")


def _message(rule: Object, text: str, variables: dict[str, Any]) -> str:
    if rule.get("messageExpression"):
        try:
            made = expressions.evaluate(str(rule["messageExpression"]), variables)
        except (expressions.NotEnforced, expressions.BadExpression, expressions.EvaluationFailed):
            made = None
        if isinstance(made, str) and made.strip() and "\n" not in made:
            return made
    return str(rule.get("message") or f"failed rule: {text}")


def _escaped(value: Any, schema: Any, *, is_root: bool = False) -> Any:
    """Return a value with the field names that expressions use; keys of maps stay as they are."""
    if not isinstance(schema, dict):
        return value
    if isinstance(value, list):
        return [_escaped(item, schema.get("items")) for item in value]
    if not isinstance(value, dict):
        return value
    properties, rest = schema.get("properties") or {}, schema.get("additionalProperties")
    if is_root:
        metadata = value.get("metadata") or {}
        seen = {field: metadata[field] for field in ("name", "generateName") if field in metadata}
        value = value | {"metadata": seen}
    return {
        _escaped_name(field) if field in properties else field: _escaped(inner, properties.get(field, rest))
        for field, inner in value.items()
    }


def _escaped_name(field: str) -> str:
    if field in _WORDS:
        return f"__{field}__"
    escaped = re.sub(r"__|[./-]", lambda found: _MARKS[found[0]], field)
    return escaped if _NAME.fullmatch(escaped) else field
