"""docs/conformance.md: each behaviour of Knative's suites, the test of ours that asks for it, and what came of it.

Pure but for reading the records and the inventory.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

INVENTORY = Path(__file__).parent / "inventory.yaml"
TITLES = {
    "api": "API conformance",
    "runtime": "Runtime conformance",
    "e2e": "End to end",
    "packages": "End to end, features in packages of their own",
    "pitfalls": "Behaviours that are easily got wrong",
}
NOTES = {
    "pitfalls": """
Where Tidegate differs on purpose, the test is of what stands in the behaviour's place: pods report instead of being
scraped (2, 21, 29), a restart holds the scale by a rule of its own (7), the activator in the path is the guard before
the last pod goes (12) and its queue has a bound (16), a body that is cut off has nothing of ours in it (17), drains end
when nothing has been in flight for a second (20), and an IPv4 address with a port is quoted, not bracketed (30).
""",
}
HEAD = """# Conformance

What Knative Serving's own suites ask of an implementation, asked of Tidegate by tests of our own. Written by
`make conformance`; do not edit.

The cluster is the local one: pods are processes of this machine. What needs the isolation of a container runtime is
skipped, with what is missing. Names in the first column are upstream's.
"""


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the records that the tests wrote."""
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def render(records: list[dict[str, Any]], seconds: float) -> str:
    """Return the page; `seconds` is how long all tests took."""
    inventory: dict[str, list[str]] = yaml.safe_load(INVENTORY.read_text())
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in records:
        for name in record["upstream"]:
            found.setdefault((record["suite"], name), []).append(record)
    parts, summary = (
        [],
        [
            "",
            "| suite | behaviours | passed | skipped, with a reason | failed | no test yet |",
            "|---|---|---|---|---|---|",
        ],
    )
    for suite, title in TITLES.items():
        names = inventory.get(suite) or sorted({name for one, name in found if one == suite})
        if not names:
            continue
        states = {name: _state(found.get((suite, name), [])) for name in names}
        counts = [
            sum(state == wanted for state in states.values()) for wanted in ("passed", "skipped", "failed", "none")
        ]
        summary.append(f"| {title} | {len(names)} | " + " | ".join(map(str, counts)) + " |")
        parts += [
            f"\n## {title}\n{NOTES.get(suite, '')}",
            "| behaviour | result | test | reason |",
            "|---|---|---|---|",
        ]
        parts += [_row(name, states[name], found.get((suite, name), [])) for name in names]
    return (
        HEAD
        + "\n".join([*summary, f"\nAll tests together took {seconds / 60:.1f} minutes on two cores.", *parts])
        + "\n"
    )


def _state(records: list[dict[str, Any]]) -> str:
    """A behaviour with several tests is what the worst of them is; some skipped parts do not unmake a pass."""
    outcomes = {record["outcome"] for record in records}
    for outcome in ("failed", "passed", "skipped"):
        if outcome in outcomes:
            return outcome
    return "none"


def _row(name: str, state: str, records: list[dict[str, Any]]) -> str:
    tests = sorted({record["test"].removeprefix("tests/conformance/").partition("[")[0] for record in records})
    reasons = sorted({record["reason"] for record in records if record["reason"]})
    shown = "no test yet" if state == "none" else state
    return f"| {name} | {shown} | {', '.join(f'`{test}`' for test in tests)} | {' '.join(reasons).replace('|', '/')} |"
