"""docs/features.md, made of the rows (pure but for the path's name): counts, then one table for each subject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from loadtest.features.rows import STATES, Row, Subject
from loadtest.figures import ROOT

PAGE = ROOT / "docs" / "features.md"
_HEAD = """\
# Features of model serving, one by one

What five well-known texts on model serving describe (TensorFlow Serving, Seldon Core, KFServing and KServe, Knative,
Triton, TorchServe, managed services, and a prediction service built by hand), feature by feature, and what is here.

*done*: the named tests and commands show it. *partly*: the note says what is missing. *open*: nothing is here yet.
*out of scope*: the note says why.

This page is made of `loadtest/features/*.yaml`; a test holds them together and looks up every name.

    python -m loadtest features           # the counts; --json for all rows
    python -m loadtest features --check   # every named test, command and file exists, and this page is up to date
    python -m loadtest features --run     # runs the quick tests of the rows that are done (half a minute)
    python -m loadtest features --write   # writes this page anew

"""


def render(subjects: Sequence[Subject]) -> str:
    """Return the page."""
    counts = Counter(row.state for subject in subjects for row in subject.rows)
    total = ", ".join(f"{counts[state]} {state}" for state in STATES)
    parts = [_HEAD + f"Of {counts.total()} features: {total}.\n"]
    for subject in subjects:
        lines = [
            f"\n## {subject.title}\n",
            "| | feature | state | shown by, and what is missing |",
            "|---|---|---|---|",
        ]
        lines += [_line(row) for row in subject.rows]
        parts.append("\n".join(lines) + "\n")
    return "".join(parts)


def _line(row: Row) -> str:
    shown = [f"`{name}`" for name in row.shows]
    last = ". ".join(part for part in (row.note, ", ".join(shown)) if part)
    return f"| {row.id} | {_cell(row.feature)} | {row.state} | {_cell(last)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
