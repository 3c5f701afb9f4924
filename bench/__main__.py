"""`python -m bench`: the measurements of the data plane, the autoscaler and the model server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import click

from bench import memory, observability, peers, proxy, shapes
from loadtest.figures import Figures

Command = Callable[..., Any]


@click.group(help=__doc__)
def main() -> None:
    """Entry point."""


def _printed(command: Command) -> Command:
    """Add --json and --save, which every measurement has."""
    save = click.option("--save", type=click.Path(path_type=Path), help="also write the JSON object to this file")
    as_json = click.option("--json", "as_json", is_flag=True, help="print one JSON object instead of text")
    return as_json(save(command))


def _repeated(*, rounds: int, seconds: int) -> Callable[[Command], Command]:
    """Add --rounds and --seconds with these defaults."""

    def add(command: Command) -> Command:
        each = click.option("--seconds", default=seconds, show_default=True, type=click.IntRange(1, 30))
        count = click.option("--rounds", default=rounds, show_default=True, type=click.IntRange(1, 100))
        return count(each(command))

    return add


def _say(line: str) -> None:
    click.echo(line, err=True)


@main.command("proxy")
@_repeated(rounds=5, seconds=2)
@click.option("--shapes", "shape_names", default=",".join(shapes.SHAPES), show_default=True, help="which, by commas")
@click.option("--peers", "peer_names", default=",".join(peers.PEERS), show_default=True, help="which, by commas")
@_printed
def proxy_command(
    rounds: int, seconds: int, shape_names: str, peer_names: str, as_json: bool, save: Path | None
) -> None:
    """CPU per request of each proxy process beside nginx and Envoy (whole run: about eighteen minutes).

    What is not installed is left out, and said so. A short look: --shapes grpc_8x8 --peers envoy,queueproxy --rounds 2
    """
    chosen = _chosen(shape_names, shapes.SHAPES), _chosen(peer_names, peers.PEERS)
    figures = proxy.measure(rounds, seconds, *chosen, _say)
    _end(figures, proxy.table(figures), as_json, save)


@main.command("memory")
@click.option("--connections", default=20_000, show_default=True, type=click.IntRange(1, 60_000))
@click.option("--gigabytes", default=2.0, show_default=True, type=click.FloatRange(0.01, 100), help="of each body")
@_printed
def memory_command(connections: int, gigabytes: float, as_json: bool, save: Path | None) -> None:
    """Memory of one worker with idle connections, large bodies and a slow reader (about a minute)."""
    figures = memory.measure(connections, int(gigabytes * 1e9))
    _end(figures, figures.as_text(), as_json, save)


@main.command("modelserver")
@_repeated(rounds=5, seconds=4)
@_printed
def modelserver_command(rounds: int, seconds: int, as_json: bool, save: Path | None) -> None:
    """The model server frame beside MLServer and KServe's server, by an echo model (about two minutes).

    The peers are installed from PyPI into virtual environments below ~/.cache/tidegate on the first run.
    """
    from bench import modelserver

    figures = modelserver.measure(rounds, seconds, _say)
    _end(figures, figures.as_text(), as_json, save)


@main.command("batching")
@_repeated(rounds=5, seconds=4)
@_printed
def batching_command(rounds: int, seconds: int, as_json: bool, save: Path | None) -> None:
    """Batched against unbatched inference of the digits network at 64 in flight (about two minutes; needs torch)."""
    from bench import batching

    figures = batching.measure(rounds, seconds, _say)
    _end(figures, figures.as_text(), as_json, save)


@main.command("imports")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 100))
@_printed
def imports_command(rounds: int, as_json: bool, save: Path | None) -> None:
    """What precompiled imports save at the start of programs, with and without by turns (about a minute)."""
    from bench import imports

    figures = imports.measure(rounds)
    _end(figures, figures.as_text(), as_json, save)


@main.command("observability")
@_repeated(rounds=6, seconds=2)
@_printed
def observability_command(rounds: int, seconds: int, as_json: bool, save: Path | None) -> None:
    """What metrics, request log and spans cost queueproxy, as ratios to itself without (about two minutes)."""
    figures = observability.measure(rounds, seconds, _say)
    _end(figures, figures.as_text(), as_json, save)


@main.command("autoscaler")
@click.option("--revisions", default=100_000, show_default=True, type=click.IntRange(100, 1_000_000))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(0, 20), help="0: memory alone")
@click.option("--memory/--no-memory", "with_memory", default=True, help="read memory (some five minutes)")
@_printed
def autoscaler_command(revisions: int, rounds: int, with_memory: bool, as_json: bool, save: Path | None) -> None:
    """Decisions, reports, memory, wakes and cold starts of the autoscaler (about two minutes per round)."""
    from bench import autoscaler

    figures = autoscaler.measure(revisions, rounds, _say, with_memory=with_memory)
    _end(figures, figures.as_text(), as_json, save)


def _chosen(text: str, known: Collection[str]) -> list[str]:
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise click.UsageError(f"unknown: {', '.join(unknown) or 'nothing chosen'}; known: {', '.join(known)}")
    return wanted


def _end(figures: Figures, text: str, as_json: bool, save: Path | None) -> None:
    click.echo(figures.as_json() if as_json else text)
    if save:
        save.parent.mkdir(parents=True, exist_ok=True)
        save.write_text(figures.as_json() + "\n")
    sys.exit(0 if all(bar.holds for bar in figures.bars) else 1)


if __name__ == "__main__":
    main()
