"""`python -m loadtest`: the demo, the measurements of the whole system, and simulations of it on traces."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import NoReturn

import click

from loadtest import scale as scale_module
from loadtest import story as story_module
from loadtest import wake as wake_module
from loadtest import wake_compare, wake_many, wake_standby
from loadtest.features.command import features
from loadtest.figures import Figures
from loadtest.instance import started
from loadtest.simulate.command import simulate
from loadtest.traces.command import traces

MANY_ROUNDS = 5


@click.group(help=__doc__)
def main() -> None:
    """Entry point."""


@main.command()
@click.option(
    "--service",
    default="hello",
    show_default=True,
    help="the example to wake, or sklearn, torch: a model in that model server",
)
@click.option("--wakes", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--bursts", default=10, show_default=True, type=click.IntRange(1, 100))
@click.option("--compare-plain", is_flag=True, help="wake it from a template and plainly, by turns, and compare")
@click.option(
    "--services", type=click.IntRange(1, 100), help="wake this many copies at once, 5 times, and nothing else"
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object instead of lines")
@click.option("--save", type=click.Path(path_type=Path), help="also write the JSON object to this file")
def wake(
    service: str,
    wakes: int,
    bursts: int,
    compare_plain: bool,
    services: int | None,
    as_json: bool,
    save: Path | None,
) -> None:
    """Measure wakes from zero, the reaction to bursts, and idle memory on a local instance of its own."""

    async def run() -> Figures:
        async with started() as instance:
            if services:
                return await wake_many.measure(instance, service, services, MANY_ROUNDS)
            if compare_plain:
                return await wake_compare.measure(instance, service, wakes)
            return await wake_module.measure(instance, service, wakes, bursts)

    _tell(asyncio.run(run()), as_json=as_json, save=save)


@main.command()
@click.option(
    "--service",
    default="digits",
    show_default=True,
    help="the example to wake, or sklearn, torch: a model in that model server",
)
@click.option("--wakes", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--json", "as_json", is_flag=True, help="print one JSON object instead of lines")
@click.option("--save", type=click.Path(path_type=Path), help="also write the JSON object to this file")
def standby(service: str, wakes: int, as_json: bool, save: Path | None) -> None:
    """Measure wakes with a standby pod beside wakes without, by turns, and what a standby pod weighs."""

    async def run() -> Figures:
        async with started() as instance:
            return await wake_standby.measure(instance, service, wakes)

    _tell(asyncio.run(run()), as_json=as_json, save=save)


@main.command()
@click.option("--services", default=1000, show_default=True, type=click.IntRange(1, 5000))
@click.option("--pause", default=0.1, show_default=True, type=click.FloatRange(0, 60), help="seconds between two")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object instead of lines")
@click.option("--save", type=click.Path(path_type=Path), help="also write the JSON object to this file")
def scale(services: int, pause: float, as_json: bool, save: Path | None) -> None:
    """Create many Services at a steady pace: when each is Ready, and what all processes weigh then."""

    async def run() -> Figures:
        async with started() as instance:
            return await scale_module.measure(instance, services, pause)

    _tell(asyncio.run(run()), as_json=as_json, save=save)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="print one JSON object at the end instead of the story's lines")
def demo(as_json: bool) -> None:
    """Tell the whole story on this machine with measured figures; exit 0 only if every step held."""
    sys.exit(asyncio.run(story_module.tell(as_json=as_json)))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="print one JSON object instead of lines")
@click.option("--save", type=click.Path(path_type=Path), help="also write the JSON object to this file")
def models(as_json: bool, save: Path | None) -> None:
    """200 models in one model server with memory for 20; ten pods of one large model (about two minutes)."""
    from loadtest import models as models_module

    figures = models_module.measure()
    _tell(figures, as_json=as_json, save=save)


main.add_command(features)
main.add_command(simulate)
main.add_command(traces)


def _tell(figures: Figures, *, as_json: bool, save: Path | None) -> NoReturn:
    """Print what was measured, keep it where asked, and exit: 0 when every bar holds."""
    print(figures.as_json() if as_json else figures.as_text())
    if save:
        save.parent.mkdir(parents=True, exist_ok=True)
        save.write_text(figures.as_json() + "\n")
    sys.exit(0 if all(bar.holds for bar in figures.bars) else 1)


if __name__ == "__main__":
    main()
