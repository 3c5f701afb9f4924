"""`python -m loadtest features`: the rows, their check, and the tests that show them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import click

from loadtest.features import page, rows, showing
from loadtest.features.rows import DONE, LAST, STATES, Row
from loadtest.figures import Bar, Figures


@click.command()
@click.option("--json", "as_json", is_flag=True, help="print one JSON object with every row instead of lines")
@click.option("--check", "is_check", is_flag=True, help="exit 1 if a name does not exist or the page is not up to date")
@click.option("--run", "is_run", is_flag=True, help="run the quick tests of the rows that are done (half a minute)")
@click.option("--only", default="", help="of --run: these rows, by commas (A39,A40)")
@click.option("--write", "is_write", is_flag=True, help="write docs/features.md anew")
def features(as_json: bool, is_check: bool, is_run: bool, only: str, is_write: bool) -> None:
    """What of the source texts' features A1-A156 is here, and what shows it."""
    subjects = rows.read()
    found = [row for subject in subjects for row in subject.rows]
    text = page.render(subjects)
    if is_write:
        page.PAGE.write_text(text)
    wrong = rows.wrong_with(subjects)
    is_current = page.PAGE.exists() and page.PAGE.read_text() == text
    figures = _figures(found, wrong, is_current)
    if is_run:
        _run(figures, _chosen(found, only), as_json)
    for line in wrong:
        click.echo(line, err=True)
    if not is_current:
        click.echo("docs/features.md is not what the rows say: python -m loadtest features --write", err=True)
    click.echo(figures.as_json() if as_json else figures.as_text())
    sys.exit(0 if all(bar.holds for bar in figures.bars) or not (is_check or is_run) else 1)


def _figures(found: Sequence[Row], wrong: Sequence[str], is_current: bool) -> Figures:
    counts = Counter(row.state for row in found)
    return Figures(
        rounds=[asdict(row) for row in found],
        bars=[
            Bar("rows", len(found), "", LAST, at_least=True),
            Bar("wrong", len(wrong), "", 0),
            Bar("page_out_of_date", int(not is_current), "", 0),
        ],
        notes={state: counts[state] for state in STATES},
    )


def _chosen(found: Sequence[Row], only: str) -> list[Row]:
    wanted = {name.strip() for name in only.split(",") if name.strip()}
    unknown = wanted - {row.id for row in found}
    if unknown:
        raise click.UsageError(f"no such row: {', '.join(sorted(unknown))}")
    return [row for row in found if row.state == DONE and (not wanted or row.id in wanted)]


def _run(figures: Figures, chosen: Sequence[Row], as_json: bool) -> None:
    shown = showing.run(chosen, lambda line: click.echo(line, err=True))
    results = {one.id: one for one in shown}
    for entry in figures.rounds:
        if one := results.get(entry["id"]):
            entry["result"], entry["tests"] = one.result, one.tests
    if not as_json:
        for one in shown:
            click.echo(f"{one.id:5} {one.result:8} {one.tests} tests")
    counts = Counter(one.result for one in shown)
    figures.notes |= {f"shown: {result}": count for result, count in sorted(counts.items())}
    figures.bars.append(Bar("rows_that_failed", counts[showing.FAILED], "", 0))
