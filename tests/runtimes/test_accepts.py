"""Which parameters a callable has: what its signature says, for every way in which there may be one."""

from __future__ import annotations

import functools
import inspect

import pytest

from runtimes.contract import accepts


class Plain:
    def __init__(self, folder, *, width=1):
        pass

    def method(self, inputs, *rest, parameters=None, **others):
        pass

    @classmethod
    def of_class(cls, parameters):
        pass

    @staticmethod
    def of_none(inputs, parameters):
        local = [parameters]
        return local, local


class New:
    def __new__(cls, made):
        return super().__new__(cls)

    def __init__(self, folder):
        pass


class Meta(type):
    def __call__(cls, called):
        return None


class ByMeta(metaclass=Meta):
    def __init__(self, folder):
        pass


class Signed:
    __signature__ = inspect.Signature([inspect.Parameter("signed", inspect.Parameter.KEYWORD_ONLY)])

    def __init__(self, folder):
        pass


class Bare:
    pass


class Called:
    def __call__(self, inputs, parameters):
        pass


@functools.wraps(Plain.method)
def wrapped(*words):
    pass


CALLABLES = [
    *(Plain, Plain(1).method, Plain.method, Plain.of_class, Plain.of_none, Plain(1).of_none, New, ByMeta, Signed, Bare),
    *(Called(), wrapped, functools.partial(Plain.of_none, 1), lambda parameters, /: None, lambda: None, len),
]
NAMES = (
    "self",
    "cls",
    "folder",
    "width",
    "inputs",
    "parameters",
    "rest",
    "others",
    "local",
    "made",
    "called",
    "signed",
)


@pytest.mark.parametrize("number", range(len(CALLABLES)))
def test_it_is_what_the_signature_says(number: int) -> None:
    known = inspect.signature(CALLABLES[number]).parameters
    assert {name: accepts(CALLABLES[number], name) for name in NAMES} == {name: name in known for name in NAMES}


def test_what_has_no_signature() -> None:
    assert not accepts(None, "folder")
    with pytest.raises(ValueError, match="signature"):
        accepts(dict, "folder")
