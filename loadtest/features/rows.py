"""The rows of features and what is wrong with them: states, and names of tests, commands and files that must exist.

It reads files and runs nothing: a test is looked for in the source of its file, a command in the entry points.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import yaml

from loadtest.figures import ROOT

FOLDER = Path(__file__).parent
DONE, PARTLY, OPEN, OUT = STATES = ("done", "partly", "open", "out of scope")
LAST = 156
_KEYS = {"id", "feature", "state", "note", "shows"}
_ID = re.compile(r"A(\d{1,3})")


class RowError(Exception):
    """A data file that cannot be read: the message names file, row and field."""


@dataclass(frozen=True, slots=True)
class Row:
    """One feature. `shows`: tests (`path::name`), commands and files that show it; `note`: what is missing, or why."""

    id: str
    feature: str
    state: str
    note: str = ""
    shows: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """The number of the id."""
        return int(self.id[1:])


@dataclass(frozen=True, slots=True)
class Subject:
    """The rows of one file under their title."""

    title: str
    rows: tuple[Row, ...]


def read(folder: Path = FOLDER) -> list[Subject]:
    """Return all subjects in the order of their rows. Raises RowError for what is no row."""
    subjects = [_subject(path) for path in folder.glob("*.yaml")]
    return sorted(subjects, key=lambda subject: subject.rows[0].number)


def wrong_with(subjects: Sequence[Subject]) -> list[str]:
    """Return everything that does not hold: rows missing or twice, states without what they need, unknown names."""
    rows = [row for subject in subjects for row in subject.rows]
    numbers = [row.number for row in rows]
    found = []
    if numbers != list(range(1, LAST + 1)):
        missing = sorted(set(range(1, LAST + 1)) - set(numbers))
        found.append(f"the ids are not A1 to A{LAST} in order; missing: {missing or 'none'}")
    for row in rows:
        if row.state == DONE and not row.shows:
            found.append(f"{row.id} is done and nothing shows it")
        if row.state != DONE and not row.note:
            found.append(f"{row.id} is {row.state} and does not say what is missing")
        found += [f"{row.id}: {why}" for name in row.shows if (why := missing_name(name))]
    return found


def missing_name(name: str) -> str:
    """Return why a test, command or file does not exist, "" when it does."""
    if name.startswith(("python -m ", "tidegate ")):
        return _missing_command(shlex.split(name))
    path, _, test = name.partition("::")
    if not (ROOT / path).exists():
        return f"there is no {path}"
    if test and test not in _tests_of(path):
        return f"{path} has no {test}"
    return ""


@functools.cache
def _tests_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def _missing_command(words: list[str]) -> str:
    if words[0] == "tidegate":
        module, words = "tidegate.cli.__main__", words[1:]
    else:
        module, words = f"{words[2]}.__main__", words[3:]
    if not (ROOT / module.replace(".", "/")).with_suffix(".py").exists():
        return f"there is no module {module}"
    group = getattr(importlib.import_module(module), "main", None) if words else None
    if not isinstance(group, click.Group):
        return ""
    command = group.commands.get(words[0])
    if command is None:
        return f"{module} has no command {words[0]}"
    options = {option for parameter in command.params for option in parameter.opts}
    unknown = [word for word in words[1:] if word.startswith("--") and word not in options]
    return f"{words[0]} has no option {', '.join(unknown)}" if unknown else ""


def _subject(path: Path) -> Subject:
    document = yaml.safe_load(path.read_text())
    if not isinstance(document, dict) or set(document) != {"title", "rows"} or not document["rows"]:
        raise RowError(f"{path.name}: write title and rows")
    return Subject(str(document["title"]), tuple(_row(each, path.name) for each in document["rows"]))


def _row(each: object, file: str) -> Row:
    if not isinstance(each, dict) or not {"id", "feature", "state"} <= set(each) <= _KEYS:
        raise RowError(f"{file}: a row has id, feature, state and perhaps note and shows: {each}")
    if not _ID.fullmatch(str(each["id"])):
        raise RowError(f"{file}: {each['id']!r} is no id; write A and a number")
    if each["state"] not in STATES:
        raise RowError(f"{file}: {each['id']}: state {each['state']!r} is none of {', '.join(STATES)}")
    shows = each.get("shows", [])
    if not isinstance(shows, list) or not all(isinstance(name, str) for name in shows):
        raise RowError(f"{file}: {each['id']}: shows is a list of texts")
    return Row(each["id"], str(each["feature"]), each["state"], str(each.get("note", "")), tuple(shows))
