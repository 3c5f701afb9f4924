"""Numbers and booleans as Go's strconv reads them: what users of Knative may write in annotations and ConfigMaps.

Python's own `int` and `float` accept more (`1_000`, blanks, `nan`); accepting it here would let an object in
that another implementation refuses. Every function raises ValueError for anything else.
"""

from __future__ import annotations

import re

INT32_MAX = 2**31 - 1

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_BOOLEANS = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "false", "FALSE", "False"), False
)


def parse_integer(text: str) -> int:
    """Return a decimal integer of at most 20 digits; ValueError otherwise."""
    if not _INTEGER.fullmatch(text) or len(text) > 20:
        raise ValueError(f"invalid integer {text!r}")
    return int(text)


def parse_number(text: str) -> float:
    """Return a finite decimal number; ValueError otherwise (also for `nan` and `inf`)."""
    value = float(text) if _NUMBER.fullmatch(text) and len(text) <= 64 else float("inf")
    if value - value != 0.0:
        raise ValueError(f"invalid number {text!r}")
    return value


def parse_boolean(text: str) -> bool:
    """Return true or false by Go's spellings; ValueError otherwise."""
    if text not in _BOOLEANS:
        raise ValueError(f"invalid boolean {text!r}")
    return _BOOLEANS[text]
