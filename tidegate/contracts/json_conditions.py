"""Conditions on JSON documents, in the part of gjson's path syntax that routes requests.

A condition holds when its path leads to something: `user.age`, `rows.0`, `#(kind=="dog").name` (the first element of a
list that fits), `[@this].#(target=="dog")` (a document that fits itself). Queries compare by ==, !=, <, <=, >, >= and %
(a pattern with * and ?) with a text, a number, true, false or null; without a comparison they ask for existence.
Source: https://github.com/tidwall/gjson/blob/master/SYNTAX.md, as KServe's InferenceGraph uses it.
"""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from typing import Any

LENGTH_LIMIT = 1000
DEPTH_LIMIT = 20
_OPERATORS = ("==", "!=", "<=", ">=", "!%", "=", "<", ">", "%")
_MISSING = object()


class ConditionError(ValueError):
    """A text that is no such condition: the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Query:
    """`path operator value` about each element of a list; an empty operator asks whether the path leads anywhere."""

    path: Path
    operator: str = ""
    value: Any = None


Segment = str | Query
"""A key or index, "#" (a list's length), "@this", "[@this]", or a query."""
Path = tuple[Segment, ...]


def parse(text: str) -> Path:
    """Return the path of a condition; raises ConditionError."""
    if text.count("(") > DEPTH_LIMIT:
        raise ConditionError(f"a condition has at most {DEPTH_LIMIT} queries")
    if not text.strip() or len(text) > LENGTH_LIMIT:
        raise ConditionError(f"a condition has 1 to {LENGTH_LIMIT} characters")
    return tuple(_segment(part) for part in _split(text.strip()))


def holds(path: Path, document: Any) -> bool:
    """Whether the path leads to something (null is something)."""
    return _find(path, document) is not _MISSING


def _split(text: str) -> list[str]:
    """Cut at dots that stand outside of brackets and quotes."""
    parts, start, depth, is_quoted, at = [], 0, 0, False, 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif char == '"':
            is_quoted = not is_quoted
        elif not is_quoted and char in "([":
            depth += 1
        elif not is_quoted and char in ")]":
            depth -= 1
        elif char == "." and not depth and not is_quoted:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    if depth or is_quoted:
        raise ConditionError(f"{text!r}: a bracket or quote is not closed")
    parts.append(text[start:])
    if not all(parts):
        raise ConditionError(f"{text!r}: there is nothing between two dots")
    return parts


def _segment(part: str) -> Segment:
    if part in ("#", "@this", "[@this]"):
        return part
    if part.startswith("#("):
        if part.endswith(")#"):
            raise ConditionError(f"{part!r} is always something, if only an empty list; leave its last # out")
        if not part.endswith(")"):
            raise ConditionError(f"{part!r}: a query ends with )")
        return _query(part[2:-1])
    if part.startswith(("@", "[", "{", "!", "#")) or "|" in part or "*" in part or "?" in part:
        raise ConditionError(f"{part!r}: modifiers, patterns of keys and multipaths but [@this] are not offered")
    return part.replace("\\.", ".").replace("\\\\", "\\")


def _query(text: str) -> Query:
    at, operator = _operator(text)
    if not operator:
        return Query(parse(text))
    written = text[at + len(operator) :].strip()
    try:
        value = json.loads(written)
    except ValueError as error:
        raise ConditionError(f"{written!r} is no text in quotes, number, true, false or null") from error
    if isinstance(value, dict | list):
        raise ConditionError(f"{written!r}: a query compares with a single value")
    if operator in ("%", "!%") and not isinstance(value, str):
        raise ConditionError(f"{written!r}: % takes a pattern in quotes")
    left = text[:at].strip()
    return Query(parse(left) if left else ("@this",), "==" if operator == "=" else operator, value)


def _operator(text: str) -> tuple[int, str]:
    depth, is_quoted = 0, False
    for at, char in enumerate(text):
        if char == '"':
            is_quoted = not is_quoted
        elif not is_quoted and char in "([":
            depth += 1
        elif not is_quoted and char in ")]":
            depth -= 1
        elif not depth and not is_quoted:
            found = next((each for each in _OPERATORS if text.startswith(each, at)), "")
            if found:
                return at, found
    return 0, ""


def _find(path: Path, document: Any) -> Any:
    for segment in path:
        if isinstance(segment, Query):
            rows = document if isinstance(document, list) else []
            document = next((row for row in rows if _fits(segment, row)), _MISSING)
        elif segment == "[@this]":
            document = [document]
        elif segment == "#":
            document = len(document) if isinstance(document, list) else _MISSING
        elif segment != "@this":
            document = _inner(document, segment)
        if document is _MISSING:
            return _MISSING
    return document


def _inner(document: Any, key: str) -> Any:
    if isinstance(document, dict):
        return document.get(key, _MISSING)
    if isinstance(document, list) and key.isascii() and key.isdigit() and int(key) < len(document):
        return document[int(key)]
    return _MISSING


def _fits(query: Query, row: Any) -> bool:
    found = _find(query.path, row)
    if found is _MISSING or not query.operator:
        return found is not _MISSING
    value = query.value
    if query.operator in ("%", "!%"):
        is_like = isinstance(found, str) and fnmatch.fnmatchcase(found, value.replace("[", "[[]"))
        return is_like if query.operator == "%" else isinstance(found, str) and not is_like
    is_same_kind = _kind(found) == _kind(value)
    if query.operator in ("==", "!="):
        return (is_same_kind and found == value) == (query.operator == "==")
    if not is_same_kind or not isinstance(found, str | int | float):
        return False
    return bool({"<": found < value, "<=": found <= value, ">": found > value, ">=": found >= value}[query.operator])


def _kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__
