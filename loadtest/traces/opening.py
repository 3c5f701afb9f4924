"""Picks the reader for what a person named: a file, by its first line, or a description of synthetic arrivals.

A bare name is looked for in the folders that hold traces: `$TIDEGATE_TRACES`, and `shared/traces` beside the checkout.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.distributions import Distribution
from loadtest.figures import ROOT
from loadtest.traces import access_log, azure_2019, azure_2021, azure_llm, synthetic
from loadtest.traces.arrivals import Trace, TraceError
from loadtest.traces.azure_llm import TokenRates
from loadtest.traces.rows import lines

FORMATS = (
    "the Azure LLM, Azure Functions 2019 (invocations) and 2021 traces, and access logs in common or combined format"
)
LINES_LOOKED_AT = 20
DEFAULT_SERVICE = Distribution("exp", 0.1)


@dataclass(frozen=True)
class Reading:
    """How to read what the trace itself leaves open: seed, rates of tokens, service times, the file of durations."""

    seed: int = 1
    rates: TokenRates = field(default_factory=TokenRates)
    service: Distribution = DEFAULT_SERVICE
    durations: Path | None = None
    functions_max: int = azure_2019.FUNCTIONS_MAX


def folders() -> list[Path]:
    """Return the folders in which a bare name is looked for."""
    named = os.environ.get("TIDEGATE_TRACES")
    return [Path(part) for part in (named or "").split(os.pathsep) if part] + [ROOT.parent / "shared" / "traces"]


def find(name: str) -> Path:
    """Return the file that `name` means; raises TraceError."""
    for candidate in [Path(name), *(folder / name for folder in folders())]:
        if candidate.is_file():
            return candidate
    kinds = ", ".join(f"{kind}:..." for kind in synthetic.DEFAULTS)
    raise TraceError(name, f"there is no such file, and it is none of {kinds}")


def open_trace(name: str, how: Reading) -> Trace:
    """Return the trace that `name` means; raises TraceError."""
    if synthetic.is_synthetic(name):
        return synthetic.trace(name, how.service, how.seed)
    path = find(name)
    match format_of(path):
        case "azure-llm":
            return azure_llm.trace(path, how.rates)
        case "azure-functions-2021":
            return azure_2021.trace(path)
        case "azure-functions-2019":
            return azure_2019.trace(path, how.seed, how.durations, how.functions_max)
        case _:
            return access_log.trace(path, how.service, how.seed)


def format_of(path: Path) -> str:
    """Return the format's name by the file's first lines; raises TraceError when it is none of ours."""
    for number, line in lines(path):
        if not line.strip() and number < LINES_LOOKED_AT:
            continue
        columns = {column.strip().lstrip("\ufeff") for column in line.split(",")}
        if columns.issuperset(azure_llm.COLUMNS):
            return "azure-llm"
        if columns.issuperset(azure_2021.COLUMNS):
            return "azure-functions-2021"
        if columns.issuperset((*azure_2019.KEY, "1", "1440")):
            return "azure-functions-2019"
        if columns.issuperset((*azure_2019.KEY, "percentile_Average_50")):
            raise TraceError(path, "these are durations: name the file of invocations, which has them beside it")
        if access_log.is_access_log(line):
            return "access-log"
        raise TraceError(path, f"its format is not known; read are {FORMATS}", line=number)
    raise TraceError(path, "it is empty")
