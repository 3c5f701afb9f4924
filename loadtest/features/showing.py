"""Runs what shows the rows: the named tests in one pytest process; each row passes when all of its tests do.

Tests of a whole local instance (tests/e2e) and commands are not run here: they take minutes, and the page names them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest.features.rows import Row
from loadtest.figures import ROOT

LIMIT_S = 1800
PASSED, FAILED, SKIPPED, NOT_RUN = "passed", "failed", "skipped", "not run"


@dataclass(frozen=True, slots=True)
class Shown:
    """What became of one row: `passed`, `failed`, `skipped` (all of its tests were) or `not run` (nothing quick)."""

    id: str
    result: str
    tests: int


def is_quick(name: str) -> bool:
    """Whether a name is a test that needs no instance."""
    return name.startswith("tests/") and not name.startswith("tests/e2e/")


def run(rows: Sequence[Row], say: Callable[[str], None]) -> list[Shown]:
    """Run the quick tests of `rows`; `say` gets pytest's lines. Raises RuntimeError when pytest cannot run them."""
    names = sorted({name for row in rows for name in row.shows if is_quick(name)})
    results = _run_tests(names, say) if names else {}
    return [_of_row(row, results) for row in rows]


def _of_row(row: Row, results: dict[str, list[str]]) -> Shown:
    found = [result for name in row.shows if is_quick(name) for result in results.get(name, [FAILED])]
    if not found:
        return Shown(row.id, NOT_RUN, 0)
    if FAILED in found:
        return Shown(row.id, FAILED, len(found))
    return Shown(row.id, PASSED if PASSED in found else SKIPPED, len(found))


def _run_tests(names: Sequence[str], say: Callable[[str], None]) -> dict[str, list[str]]:
    """Return the results of all cases by the name that asked for them."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *names]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        for line in done.stdout.splitlines()[-20:]:
            say(line)
        if not report.exists():
            raise RuntimeError(f"pytest ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
        return results_of(report.read_text(), names)


def results_of(report: str, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the results in a JUnit report by asked name: of its cases, or of all cases of its file or folder."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for case in ET.fromstring(report).iter("testcase"):
        path = str(case.get("classname")).replace(".", "/")
        test = str(case.get("name")).partition("[")[0]
        for name in names:
            asked, _, function = name.partition("::")
            inside = path == asked.removesuffix(".py") or path.startswith(asked.rstrip("/") + "/")
            if inside and function in ("", test):
                found[name].append(_result(case))
    return {name: results for name, results in found.items() if results}


def _result(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return FAILED
    return SKIPPED if case.find("skipped") is not None else PASSED
