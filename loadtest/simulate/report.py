"""The report: Azure's LLM traces of code and of conversation, an hour each, under four policies, with pictures.

Everything it assumes beyond the traces is here, and is written into the result: tokens per second, how long a pod
takes to start, how many requests it answers at once, what it costs.
"""

from __future__ import annotations

import sys
import time
from datetime import date
from pathlib import Path

from loadtest.figures import ROOT, Bar, Figures
from loadtest.simulate import compare, plots
from loadtest.simulate.compare import Comparison
from loadtest.simulate.options import Options

RESULTS = ROOT / "loadtest" / "results"
APP = Path(__file__).parent / "apps" / "llm.yaml"
TRACES = {"code": "azure_llm_2023_code.csv", "conv": "azure_llm_2023_conv.csv"}
START = "lognormal:20s,40s"
LIMIT_S = 60.0
"""What simulating an hour under four policies may take."""


def write(folder: Path, seed: int = 1) -> tuple[Figures, str, list[Path]]:
    """Simulate both hours; returns the figures, the tables, and the files written. Raises like `compare.compare`."""
    figures, texts, files = Figures(), [], []
    day = date.today().isoformat()
    for kind, name in TRACES.items():
        comparison = hour(name, seed)
        figures.rounds += [{"trace": kind, **one.as_data()} for one in comparison.outcomes]
        figures.bars.append(Bar(f"simulated_hour_{kind}", comparison.took_s, "s", LIMIT_S))
        figures.notes[kind] = compare.scenario_notes(comparison.scenario, comparison.prices)
        texts.append(comparison.table())
        picture = folder / f"{day}-simulate-llm-{kind}.svg"
        plots.save(plots.comparison(_title(kind, comparison), comparison.outcomes), picture)
        files.append(picture)
    result = folder / f"{day}-simulate-llm.json"
    result.write_text(figures.as_json() + "\n")
    return figures, "\n\n".join([*texts, figures.as_text().partition("     code:")[0].rstrip()]), [*files, result]


def hour(name: str, seed: int) -> Comparison:
    """Return one trace's comparison under all policies."""
    options = Options(name, app=APP, start=START, seed=seed)
    scenario = options.scenario()
    began = time.perf_counter()
    comparison = compare.compare(scenario, options.chosen(), options.prices(scenario.app), is_told=True)
    print(f"{name}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    return comparison


def _title(kind: str, comparison: Comparison) -> str:
    app, machinery = comparison.scenario.app, comparison.scenario.machinery
    hour_of = {"code": "An hour of a code assistant", "conv": "An hour of a chat service"}[kind]
    return f"{hour_of}: {app.container_concurrency} requests per pod, pods start in {machinery.start}"
