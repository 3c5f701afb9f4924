"""The question and its answer survive the wire; what is no question is refused."""

import pytest

from tidegate.contracts import programmed
from tidegate.contracts.programmed import NOTHING, Versions


def asked(wanted, wait_s):
    path, _, query = programmed.question(wanted, wait_s).partition("?")
    assert path == programmed.PATH
    return programmed.read_question(dict(pair.split("=") for pair in query.split("&")))


def test_a_question_is_read_as_it_was_asked():
    assert asked(Versions(12, 3, 5), 0.5) == (Versions(12, 3, 5), 0.5)
    assert asked(NOTHING, 3600.0) == (NOTHING, programmed.LONGEST_WAIT_S)
    assert programmed.read_question({}) == (NOTHING, 0.0)


@pytest.mark.parametrize("query", [{"routes": "many"}, {"mappings": "1.5"}, {"wait_s": "nan"}, {"wait_s": "inf"}])
def test_what_is_no_question_is_refused(query):
    with pytest.raises(ValueError, match=r".+"):
        programmed.read_question(query)


@pytest.mark.parametrize(
    ("body", "versions"),
    [
        (b'{"routes":7,"mappings":2}\n', Versions(7, 2)),
        (b'{"routes":7,"more":[1]}', Versions(7)),  # of a later release
        (b'{"routes":"7"}', None),
        (b"ok\n", None),
        (b"", None),
    ],
)
def test_what_is_no_answer_says_nothing(body, versions):
    assert programmed.read_answer(body) == versions


@pytest.mark.parametrize(("text", "version"), [("7", 7), ("", 0), ("abc", 0), ("-1", 0), ("٧", 0), ("7.5", 0)])
def test_a_version_that_is_no_number_is_one_that_everybody_has(text, version):
    assert programmed.version_of({"metadata": {"resourceVersion": text}}) == version


def test_no_object_has_no_version():
    assert programmed.version_of(None) == 0


@pytest.mark.parametrize("wanted", [Versions(8, 2, 1), Versions(7, 3, 1), Versions(7, 2, 2)])
def test_each_kind_must_be_there(wanted):
    assert not Versions(7, 2, 1).covers(wanted)
    assert Versions(8, 3, programmed.ALL).covers(wanted)


def test_what_covers_all_and_what_all_cover():
    some = [Versions(5, 1, 2), Versions(3, 4, programmed.ALL)]
    assert programmed.newest(some) == Versions(5, 4, programmed.ALL)
    assert programmed.common(some) == Versions(3, 1, 2)
    assert programmed.newest([]) == programmed.common([]) == NOTHING
