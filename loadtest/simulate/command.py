"""`python -m loadtest simulate`: parses, runs, prints; standard output has the result and nothing else."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from loadtest import distributions
from loadtest.figures import Figures
from loadtest.simulate import compare, fleet, plots, policies, report, sweep, tune
from loadtest.simulate.app import AppError
from loadtest.simulate.ledger import TooMany
from loadtest.simulate.options import Options
from loadtest.simulate.plots import PlotError
from loadtest.simulate.pricing import PriceError
from loadtest.simulate.run import TooManyRevisions
from loadtest.simulate.svg import Page
from loadtest.traces.arrivals import TraceError
from tidegate.contracts.durations import parse_duration

EXPECTED = (TraceError, AppError, PriceError, PlotError, TooMany, TooManyRevisions, ValueError)
FLEET_FOR = "2m"
TUNE_SHOWN = 10
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
@click.option("--began", default="", help="when the trace begins, for schedules; by default as the trace says")
@click.option("--price", default="", help="cpu, gpu, or a YAML file; by default as the app's resources say")
@click.option("--pod-hour", type=float, help="price of a pod-hour, instead of a table's")
@click.option("--sweep", "axes", multiple=True, help="annotation=value,value,...: try them all; may repeat")
@click.option("--tune", "is_tuned", is_flag=True, help="search good annotations, one after another")
@click.option("--wait-limit", default="1s", show_default=True, help="with --sweep, --tune: the p99 wait to keep")
@click.option("--fleet", "revisions", type=int, help="so many revisions at once, for --until (2m); no trace is needed")
@click.option("--plot", type=FILE, help="write a picture, .svg or .png")
@click.option("--report", "is_report", is_flag=True, help="Azure's LLM hours under four policies, into --report-to")
@click.option("--report-to", type=click.Path(path_type=Path), default=report.RESULTS, help="folder for the report")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.option("--save", type=FILE, help="also write the JSON object to this file")
def simulate(**given: Any) -> None:
    """Entry point."""
    output = Output(given["plot"], given["as_json"], given["save"])
    try:
        if given["is_report"]:
            figures, text, files = report.write(given["report_to"], given["seed"])
            output.show(figures, text)
            print(*(f"wrote {file}" for file in files), sep="\n", file=sys.stderr)
        elif given["revisions"] is not None:
            _fleet(given["revisions"], Options.of(given | {"trace": ""}), output)
        elif not given["trace"]:
            raise click.UsageError("name a trace: --trace FILE, or --trace poisson:rate=10")
        elif given["axes"] or given["is_tuned"]:
            _sweep(Options.of(given), given["axes"], given["wait_limit"], output)
        else:
            _compare(Options.of(given), output)
    except EXPECTED as error:
        raise click.ClickException(str(error)) from error


@dataclass(frozen=True)
class Output:
    """Where results go."""

    plot: Path | None
    is_json: bool
    save: Path | None

    def show(self, figures: Figures, text: str) -> None:
        """Print the figures as JSON or as text, and keep the JSON where asked to."""
        document = figures.as_json() if self.is_json or self.save is not None else ""
        print(document if self.is_json else text)
        if self.save is not None:
            self.save.parent.mkdir(parents=True, exist_ok=True)
            self.save.write_text(document + "\n")

    def draw(self, page: Page) -> None:
        """Write the picture, where one is asked for."""
        if self.plot is not None:
            plots.save(page, self.plot)
            print(f"wrote {self.plot}", file=sys.stderr)


def _compare(options: Options, output: Output) -> None:
    scenario = options.scenario()
    comparison = compare.compare(scenario, options.chosen(), options.prices(scenario.app), is_told=True)
    output.show(comparison.figures(), comparison.table())
    output.draw(plots.comparison(f"{scenario.trace.name} on {scenario.app.name}", comparison.outcomes))


def _fleet(revisions: int, options: Options, output: Output) -> None:
    seconds = math.ceil(parse_duration(options.until or FLEET_FOR))
    start = distributions.parse(options.start)
    figures = fleet.measure(revisions, seconds, options.load_app(), start, options.seed)
    output.show(figures, figures.as_text())


def _sweep(options: Options, axes: Sequence[str], wait_limit: str, output: Output) -> None:
    """Try all combinations of the axes, or search by oneself where there are none."""
    scenario = options.scenario()
    prices = options.prices(scenario.app)
    limit_s = parse_duration(wait_limit)
    if axes:
        found = sweep.run(scenario, [sweep.parse(text) for text in axes], prices, limit_s)
    else:
        found = tune.run(scenario, prices, limit_s)
    output.show(found.figures(), found.text(None if axes else TUNE_SHOWN))
    dots = [(one.policy, one.cost, one.wait_s.p99) for _, one in found.tries]
    title = f"{scenario.trace.name} on {scenario.app.name}: wait against cost"
    output.draw(plots.scatter(title, dots, found.best[1].policy, f"cost, {prices.currency}", "p99 wait, s"))
