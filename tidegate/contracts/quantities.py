"""Kubernetes quantities (`250m`, `1Gi`, `2e3`) as exact numbers.

Pure. Texts are canonical as Kubernetes has them: the largest suffix with which the number is whole.
"""

from __future__ import annotations

import decimal
import re

_SUFFIXES = {
    "": decimal.Decimal(1),
    "n": decimal.Decimal("1e-9"),
    "u": decimal.Decimal("1e-6"),
    "m": decimal.Decimal("1e-3"),
    "k": decimal.Decimal(10**3),
    "M": decimal.Decimal(10**6),
    "G": decimal.Decimal(10**9),
    "T": decimal.Decimal(10**12),
    "P": decimal.Decimal(10**15),
    "E": decimal.Decimal(10**18),
    "Ki": decimal.Decimal(2**10),
    "Mi": decimal.Decimal(2**20),
    "Gi": decimal.Decimal(2**30),
    "Ti": decimal.Decimal(2**40),
    "Pi": decimal.Decimal(2**50),
    "Ei": decimal.Decimal(2**60),
}
_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([numkMGTPE]|[KMGTPE]i)?", re.ASCII)
LIMIT = decimal.Decimal(2**63 - 1)
"""More counts as so much, as with Kubernetes; whole numbers of a million digits would keep us busy for minutes."""


def parse(text: str | int | float) -> decimal.Decimal:
    """Return the value of a quantity, between `-LIMIT` and `LIMIT`; raises ValueError for anything else."""
    found = _FORM.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f"{text!r} is not a quantity")
    try:
        value = decimal.Decimal(found[1]) * _SUFFIXES[found[2] or ""]
    except decimal.DecimalException as error:
        raise ValueError(f"{text!r} is no quantity that can be computed with") from error
    return max(-LIMIT, min(value, LIMIT))


def text(value: decimal.Decimal, like: str = "") -> str:
    """Return the shortest exact text of `value`, with binary suffixes when `like`, another quantity, has one."""
    binary = str(like).endswith("i")
    if value == 0:
        return "0"
    if binary and value == value.to_integral_value():
        return _scaled(int(value), 1024, ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))
    for suffix in ("", "m", "u"):
        scaled = value / _SUFFIXES[suffix]
        if scaled == scaled.to_integral_value():
            break
    else:
        suffix, scaled = "n", (value / _SUFFIXES["n"]).to_integral_value(decimal.ROUND_UP)
    if suffix:
        return f"{int(scaled)}{suffix}"
    return _scaled(int(scaled), 1000, ("", "k", "M", "G", "T", "P", "E"))


def _scaled(number: int, base: int, suffixes: tuple[str, ...]) -> str:
    step = 0
    while number % base == 0 and step < len(suffixes) - 1:
        number //= base
        step += 1
    return f"{number}{suffixes[step]}"
