"""Conditions on JSON: what leads to something, and what is no condition."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contracts.json_conditions import ConditionError, holds, parse

DOG = {"predictions": [{"label": "dog", "p": 0.9}, {"label": "cat", "p": 0.1}], "target": "dog", "a.b": 1, "none": None}
TABLE = [
    ("target", DOG, True),
    ("gone", DOG, False),
    ("none", DOG, True),
    ("predictions.1.label", DOG, True),
    ("predictions.2", DOG, False),
    (r"a\.b", DOG, True),
    ('[@this].#(target=="dog")', DOG, True),
    ('[@this].#(target=="cat")', DOG, False),
    ('[@this].#(target!="cat")', DOG, True),
    ('[@this].#(gone!="cat")', DOG, False),
    ('predictions.#(label=="cat").p', DOG, True),
    ('predictions.#(label=="cow").p', DOG, False),
    ("predictions.#(p>0.5)", DOG, True),
    ("predictions.#(p>=0.95)", DOG, False),
    ("predictions.#(p<0.2)", DOG, True),
    ("predictions.#(p<=0.05)", DOG, False),
    ('predictions.#(label%"c*")', DOG, True),
    ('predictions.#(label!%"*")', DOG, False),
    ("predictions.#(p)", DOG, True),
    ("predictions.#(p==true)", DOG, False),
    ("predictions.#", DOG, True),
    ("target.#", DOG, False),
    ('#(=="b")', ["a", "b"], True),
    ("@this.0", [1], True),
    ("[@this].#(predictions.0.label==\"dog\")", DOG, True),
    ('predictions.#(label="dog")', DOG, True),
    ('#(x=="a.b(c")', [{"x": "a.b(c"}], True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "document", "does_hold"), TABLE, ids=[f"{row[0]} {row[2]}" for row in TABLE])
def test_what_a_condition_says_of_a_document(text: str, document: Any, does_hold: bool) -> None:
    assert holds(parse(text), document) is does_hold


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has 1 to"),
        ("a..b", "nothing between two dots"),
        ('#(a=="b"', "not closed"),
        ("#(a==b)", "is no text in quotes"),
        ("#(a=={})", "a single value"),
        ("#(a%1)", "a pattern in quotes"),
        ("#(a>1)#", "always something"),
        ("@reverse", "not offered"),
        ("a|b", "not offered"),
        ("{a,b}", "not offered"),
    ],
)
def test_what_is_no_condition_says_why(text: str, why: str) -> None:
    with pytest.raises(ConditionError, match=why):
        parse(text)


@given(st.text(alphabet='ab.#()[]@"=<>%!1\\', max_size=20), st.sampled_from([DOG, [], [1], "a", None, 1.5]))
def test_any_text_is_a_condition_or_is_refused(text: str, document: Any) -> None:
    try:
        path = parse(text)
    except ConditionError as error:
        assert str(error)
    else:
        assert holds(path, document) in (True, False)
