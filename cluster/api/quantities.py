"""Resource quantities (`100m`, `1Gi`, `2`) as numbers. Pure; only as much as comparing two of them needs."""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([KMGTPE]i|[numkMGTPE]))?")
_UNITS = {unit: Decimal(10) ** (3 * power) for power, unit in enumerate("num", -3)}
_UNITS |= {unit: Decimal(10) ** (3 * power) for power, unit in enumerate("kMGTPE", 1)}
_UNITS |= {f"{unit}i": Decimal(2) ** (10 * power) for power, unit in enumerate("KMGTPE", 1)}


def parse(text: str | float) -> Decimal | None:
    """Return the quantity's value in its base unit, None when it is not a quantity."""
    found = _FORM.fullmatch(str(text))
    if found is None:
        return None
    number, exponent, unit = found.groups()
    return Decimal(number + (exponent or "")) * _UNITS.get(unit or "", Decimal(1))
