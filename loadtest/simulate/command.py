"""`python -m loadtest simulate`: parses, runs, prints; standard output has the result and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from loadtest.figures import Figures
from loadtest.simulate import compare, plots, policies, report
from loadtest.simulate.app import AppError
from loadtest.simulate.ledger import TooMany
from loadtest.simulate.options import Options
from loadtest.simulate.plots import PlotError
from loadtest.simulate.pricing import PriceError
from loadtest.simulate.run import TooManyRevisions
from loadtest.traces.arrivals import TraceError

EXPECTED = (TraceError, AppError, PriceError, PlotError, TooMany, TooManyRevisions, ValueError)
FILE = click.Path(path_type=Path, dir_okay=False)

HELP = """Simulate a Knative Service on a trace: production's decisions under a virtual clock, several policies side by
side.

TRACE is a file (Azure LLM 2023, Azure Functions 2019 or 2021, an access log) or one of poisson:rate=10,for=10m,
mmpp:low=1,high=20,stay-low=60s,stay-high=20s,for=30m, diurnal:low=1,high=10,period=24h,for=24h and
flash:base=1,peak=50,at=5m,rise=5s,fall=60s,for=20m. docs/simulator.md tells the rest.
"""


@click.command(help=HELP)
@click.option("--trace", help="a file, or a description of synthetic arrivals")
@click.option("--app", type=FILE, help="YAML of a Knative Service; without one, a service without annotations")
@click.option("--config", type=FILE, help="YAML of a ConfigMap config-autoscaler")
@click.option("--policy", multiple=True, help=f"{', '.join(policies.NAMES)}, keep-alive=TIME, fixed=PODS; may repeat")
@click.option("--seed", default=1, show_default=True, help="of everything that is drawn")
@click.option(
    "--start", default="1s", show_default=True, help="how long a pod takes to start: 20s, lognormal:20s,40s..."
)
@click.option("--stop", default="1s", show_default=True, help="how long an idle pod takes to stop")
@click.option("--service", default="exp:100ms", show_default=True, help="service times the trace does not tell")
@click.option("--cores", default=0.0, help="cores that a pod's requests share; 0: they do not slow each other down")
@click.option(
    "--prefill-rate", default=8000.0, show_default=True, help="LLM traces: prompt tokens per second", type=float
)
@click.option("--decode-rate", default=40.0, show_default=True, help="LLM traces: answer tokens per second", type=float)
@click.option("--durations", type=FILE, help="Azure Functions 2019: the file of durations")
@click.option("--function", multiple=True, help="only functions whose name begins so; may repeat")
@click.option("--functions", default=1000, show_default=True, help="Azure Functions 2019: at most so many functions")
@click.option("--merge", is_flag=True, help="all functions are one revision (otherwise each has its own)")
@click.option("--from", "begin", default="0s", show_default=True, help="begin so far into the trace")
@click.option("--until", default="", help="stop so far into the trace")
@click.option("--price", default="", help="cpu, gpu, or a YAML file; by default as the app's resources say")
@click.option("--pod-hour", type=float, help="price of a pod-hour, instead of a table's")
@click.option("--plot", type=FILE, help="write a picture, .svg or .png")
@click.option("--report", "is_report", is_flag=True, help="Azure's LLM hours under four policies, into --report-to")
@click.option("--report-to", type=click.Path(path_type=Path), default=report.RESULTS, help="folder for the report")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.option("--save", type=FILE, help="also write the JSON object to this file")
def simulate(
    plot: Path | None, as_json: bool, save: Path | None, is_report: bool, report_to: Path, **given: Any
) -> None:
    """Entry point."""
    try:
        if is_report:
            figures, text, files = report.write(report_to, given["seed"])
            show(figures, text, as_json, save)
            print(*(f"wrote {file}" for file in files), sep="\n", file=sys.stderr)
            return
        if not given["trace"]:
            raise click.UsageError("name a trace: --trace FILE, or --trace poisson:rate=10")
        _compare(Options.of(given), plot, as_json, save)
    except EXPECTED as error:
        raise click.ClickException(str(error)) from error


def _compare(options: Options, plot: Path | None, as_json: bool, save: Path | None) -> None:
    scenario = options.scenario()
    comparison = compare.compare(scenario, options.chosen(), options.prices(scenario.app), is_told=True)
    show(comparison.figures(), comparison.table(), as_json, save)
    if plot is not None:
        plots.save(plots.comparison(f"{scenario.trace.name} on {scenario.app.name}", comparison.outcomes), plot)
        print(f"wrote {plot}", file=sys.stderr)


def show(figures: Figures, text: str, as_json: bool, save: Path | None) -> None:
    """Print the figures as JSON or as text, and keep the JSON where asked to."""
    print(figures.as_json() if as_json else text)
    if save is not None:
        save.parent.mkdir(parents=True, exist_ok=True)
        save.write_text(figures.as_json() + "\n")
