"""`python -m loadtest traces`: which traces there are, and what is in one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from loadtest import distributions
from loadtest.traces import describe as descriptions
from loadtest.traces import opening, synthetic
from loadtest.traces.arrivals import TraceError, between
from loadtest.traces.azure_llm import TokenRates
from loadtest.traces.opening import Reading
from tidegate.contracts.durations import parse_duration

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def traces() -> None:
    """Request traces: which there are, and what is in them."""


@traces.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def list_(as_json: bool) -> None:
    """List the traces in $TIDEGATE_TRACES and in shared/traces beside the checkout, and the synthetic kinds."""
    found = [_entry(path) for folder in opening.folders() if folder.is_dir() for path in sorted(folder.glob("*.csv*"))]
    kinds = {
        kind: ",".join(f"{key}={value}" for key, value in known.items()) for kind, known in synthetic.DEFAULTS.items()
    }
    if as_json:
        print(json.dumps({"files": found, "synthetic": kinds}, indent=2))
        return
    for entry in found:
        print(f"{entry['name']:46} {entry['format']:22} {int(entry['bytes']) / 1e3:10.1f} kB")
    for kind, known in kinds.items():
        print(f"{kind}:{known}")


@traces.command()
@click.argument("name")
@click.option("--seed", default=1, show_default=True)
@click.option("--service", default="exp:100ms", show_default=True, help="service times the trace does not tell")
@click.option("--prefill-rate", default=8000.0, show_default=True, help="LLM traces: prompt tokens per second")
@click.option("--decode-rate", default=40.0, show_default=True, help="LLM traces: answer tokens per second")
@click.option("--durations", type=FILE, help="Azure Functions 2019: the file of durations")
@click.option("--until", default="", help="only so far into the trace")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def describe(
    name: str,
    seed: int,
    service: str,
    prefill_rate: float,
    decode_rate: float,
    durations: Path | None,
    until: str,
    as_json: bool,
) -> None:
    """Say what is in a trace: NAME is a file or a description of synthetic arrivals."""
    try:
        how = Reading(seed, TokenRates(prefill_rate, decode_rate), distributions.parse(service), durations)
        trace = opening.open_trace(name, how)
        described = descriptions.describe(between(trace, 0.0, parse_duration(until)) if until else trace)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    print(json.dumps(described.as_data(), indent=2) if as_json else described.as_text())


def _entry(path: Path) -> dict[str, str | int]:
    try:
        kind = opening.format_of(path)
    except TraceError as error:
        kind = "durations" if "durations" in error.problem else "unknown"
    return {"name": path.name, "format": kind, "bytes": path.stat().st_size, "path": str(path)}
