"""Reads protobuf's text form, as far as Triton's config.pbtxt uses it, into dicts and lists (pure).

A field that occurs once is a value, one that occurs more often (or is written with [ ]) a list. Nothing is known of
the schema here; `layout.py` picks what it understands.
"""

from __future__ import annotations

import ast
import re
from typing import Any

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<word>[\w.+-]+)|(?P<mark>[{}\[\]:,;<>])"""
)
_DEPTH_LIMIT = 32


class ConfigTextError(ValueError):
    """A config.pbtxt that cannot be read; the message says where."""


def parse(text: str) -> dict[str, Any]:
    """Return the message that `text` describes; raises ConfigTextError."""
    return _Reader(_tokens(text)).message("", 0)


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            line = text.count("\n", 0, position) + 1
            raise ConfigTextError(f"line {line}: {text[position]!r} is not expected")
        if found.lastgroup:
            tokens.append(found.group())
        position = found.end()
    return tokens


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def message(self, end: str, depth: int) -> dict[str, Any]:
        if depth > _DEPTH_LIMIT:
            raise ConfigTextError("messages are nested too deeply")
        fields: dict[str, Any] = {}
        while (token := self._next(may_end=not end)) != end:
            if not re.match(r"[A-Za-z_]", token):
                raise ConfigTextError(f"a field name was expected, not {token!r}")
            self._skip(":")
            self._add(fields, token, self._value(depth))
            self._skip(",", ";")
        return fields

    def _add(self, fields: dict[str, Any], name: str, value: Any) -> None:
        if name not in fields:
            fields[name] = value
            return
        known = fields[name] if isinstance(fields[name], list) else [fields[name]]
        fields[name] = known + (value if isinstance(value, list) else [value])

    def _value(self, depth: int) -> Any:
        token = self._next()
        if token == "{":
            return self.message("}", depth + 1)
        if token == "<":
            return self.message(">", depth + 1)
        if token == "[":
            return self._list(depth + 1)
        if token[0] in "\"'":
            text = _unquoted(token)
            while self._at < len(self._tokens) and self._tokens[self._at][0] in "\"'":
                text += _unquoted(self._next())
            return text
        return _scalar(token)

    def _list(self, depth: int) -> list[Any]:
        values: list[Any] = []
        while self._at < len(self._tokens) and self._tokens[self._at] != "]":
            values.append(self._value(depth))
            self._skip(",")
        self._next()
        return values

    def _next(self, *, may_end: bool = False) -> str:
        if self._at >= len(self._tokens):
            if may_end:
                return ""
            raise ConfigTextError("the text ends inside a message or list")
        self._at += 1
        return self._tokens[self._at - 1]

    def _skip(self, *marks: str) -> None:
        if self._at < len(self._tokens) and self._tokens[self._at] in marks:
            self._at += 1


def _unquoted(token: str) -> str:
    try:
        return str(ast.literal_eval(token))
    except (SyntaxError, ValueError) as error:
        raise ConfigTextError(f"{token} is not a string") from error


def _scalar(token: str) -> Any:
    if token in ("true", "false"):
        return token == "true"
    for kind in (int, float):
        try:
            return kind(token)
        except ValueError:
            continue
    return token
