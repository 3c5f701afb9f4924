"""Kubernetes quantities: what they mean, how they are written, and that none of them keeps us busy."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from tidegate.contracts import quantities


@pytest.mark.parametrize(
    ("text", "value", "written"),
    [
        ("250m", Decimal("0.25"), "250m"),
        ("1Gi", Decimal(2**30), "1Gi"),
        ("2e3", Decimal(2000), "2k"),
        ("0.5", Decimal("0.5"), "500m"),
        ("-1", Decimal(-1), "-1"),
        ("1e-30", Decimal("1e-30"), "1n"),
        ("9E", Decimal(9 * 10**18), "9E"),
    ],
)
def test_quantities(text, value, written):
    assert quantities.parse(text) == value
    assert quantities.text(value, text) == written


@pytest.mark.parametrize("text", ["1e400", "1e999999", "8Ei", "1" * 5000])
def test_what_is_too_large_counts_as_the_largest(text):
    value = quantities.parse(text)
    assert math.ceil(value) == 2**63 - 1
    assert quantities.text(value) == str(2**63 - 1)
    assert quantities.parse(f"-{text}") == -quantities.LIMIT


@pytest.mark.parametrize("text", ["", "x", "1 m", "1e", "\u0661", "1e99999999999999999999", "9e999999Ei", "inf", "nan"])
def test_what_is_no_quantity(text):
    with pytest.raises(ValueError, match="quantity"):
        quantities.parse(text)
