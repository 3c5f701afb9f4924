"""The page of features: its rows are all there, what they name exists, and the page says what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtest.features import page, rows, showing
from loadtest.features.command import features
from loadtest.features.rows import Row, RowError, Subject


def test_every_row_is_there_and_every_name_exists() -> None:
    assert rows.wrong_with(rows.read()) == []


def test_the_page_is_what_the_rows_say() -> None:
    assert page.PAGE.read_text() == page.render(rows.read()), "run: python -m loadtest features --write"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("tests/loadtest/test_features.py", ""),
        ("tests/loadtest/test_features.py::test_what_is_wrong_is_found", ""),
        ("python -m loadtest wake --service digits --json", ""),
        ("python -m runtimes.python", ""),
        ("tidegate why", ""),
        ("tests/no.py", "there is no tests/no.py"),
        ("tests/test_docs.py::test_no", "tests/test_docs.py has no test_no"),
        ("python -m loadtest nothing", "loadtest.__main__ has no command nothing"),
        ("python -m loadtest wake --nothing", "wake has no option --nothing"),
        ("python -m loadtest.no", "there is no module loadtest.no.__main__"),
    ],
)
def test_names(name: str, why: str) -> None:
    assert rows.missing_name(name) == why


def test_what_is_wrong_is_found() -> None:
    every = [Row(f"A{number}", "f", "open", "n") for number in range(1, 157)]
    assert rows.wrong_with([Subject("s", tuple(every))]) == []
    every[0] = Row("A1", "f", "done")
    every[1] = Row("A2", "f", "partly")
    every[2] = Row("A3", "f", "done", shows=("tests/no.py",))
    del every[155]
    assert rows.wrong_with([Subject("s", tuple(every))]) == [
        "the ids are not A1 to A156 in order; missing: [156]",
        "A1 is done and nothing shows it",
        "A2 is partly and does not say what is missing",
        "A3: there is no tests/no.py",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rows: []", "write title and rows"),
        ("{title: t, rows: [{id: A1, feature: f}]}", "a row has id, feature, state"),
        ("{title: t, rows: [{id: B1, feature: f, state: open}]}", "'B1' is no id"),
        ("{title: t, rows: [{id: A1, feature: f, state: maybe}]}", "state 'maybe' is none of done, partly"),
        ("{title: t, rows: [{id: A1, feature: f, state: open, shows: x}]}", "shows is a list"),
    ],
)
def test_what_is_no_row_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(RowError, match=rf"a\.yaml: .*{why}"):
        rows.read(tmp_path)


def test_results_are_found_by_test_by_file_and_by_folder() -> None:
    report = """<testsuites><testsuite>
      <testcase classname="tests.a.test_x" name="test_one[1]"/>
      <testcase classname="tests.a.test_x" name="test_one[2]"><failure/></testcase>
      <testcase classname="tests.a.test_y" name="test_two"><skipped/></testcase>
    </testsuite></testsuites>"""
    names = ["tests/a/test_x.py::test_one", "tests/a/test_y.py", "tests/a", "tests/b"]
    assert showing.results_of(report, names) == {
        "tests/a/test_x.py::test_one": ["passed", "failed"],
        "tests/a/test_y.py": ["skipped"],
        "tests/a": ["passed", "failed", "skipped"],
    }


def test_a_row_is_shown_by_running_its_tests() -> None:
    told = CliRunner().invoke(features, ["--run", "--only", "A32,A21", "--json"])
    document = json.loads(told.stdout)
    assert {bar["name"]: bar["holds"] for bar in document["bars"]}["rows_that_failed"]
    results = {row["id"]: row["result"] for row in document["rounds"] if "result" in row}
    assert (told.exit_code, results) == (0, {"A21": "passed", "A32": "passed"})


def test_a_row_that_nothing_names_is_refused() -> None:
    told = CliRunner().invoke(features, ["--run", "--only", "A999"])
    assert told.exit_code == 2 and "no such row: A999" in told.output
