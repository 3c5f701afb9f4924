"""`python -m runtimes.storage URI FOLDER`: put a model into a folder, then end.

Exit codes: 0 done, 1 it will not work (the message says what would help), 2 wrong usage, 3 not in time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path

import click

from runtimes.storage import fetch, source
from runtimes.storage.archive import ArchiveError
from runtimes.storage.cache import Busy, Cache
from runtimes.storage.listing import ListingError
from runtimes.storage.remotes import Final, StoreError

WRONG, LATE = 1, 3


def default_cache() -> Path:
    """Return the folder that all pods of this node share unless they are told another."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tidegate" / "models"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("uri")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--cache", "cache", type=click.Path(path_type=Path), envvar="TIDEGATE_MODEL_CACHE", help="Cache folder of the node."
)
@click.option(
    "--cache-limit-gib",
    type=click.FloatRange(min=0),
    default=0,
    envvar="TIDEGATE_MODEL_CACHE_LIMIT_GIB",
    show_default=True,
    help="Forget the models that were not used for the longest time beyond this size; 0: never (GiB).",
)
@click.option(
    "--timeout-s",
    type=click.FloatRange(min=1),
    default=1800,
    envvar="TIDEGATE_MODEL_TIMEOUT_S",
    show_default=True,
    help="Time for everything (s).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def main(uri: str, folder: Path, cache: Path | None, cache_limit_gib: float, timeout_s: float, as_json: bool) -> None:
    """Fetch the model at URI into FOLDER.

    URI: file:///path, http(s)://host/archive.tar.gz (tar and zip are unpacked; #sha256=... is checked), s3://bucket/prefix,
    gs://bucket/prefix, hf://owner/model[:revision].
    """
    logging.basicConfig(level="INFO", format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        place = source.parse(uri)
    except source.SourceError as error:
        raise click.UsageError(str(error)) from error
    limit = int(cache_limit_gib * (1 << 30))
    try:
        done = asyncio.run(
            fetch.fetch(place, folder, Cache(cache or default_cache()), timeout_s=timeout_s, limit_bytes=limit)
        )
    except (Final, ArchiveError, ListingError, OSError) as error:
        _end(str(error), WRONG if not isinstance(error, Busy) else LATE)
    except StoreError as error:
        _end(f"{error} (not within {timeout_s:g} s)", LATE)
    if as_json:
        click.echo(json.dumps(fetch.as_document(done)))
    else:
        text = f"{done.files} files, {done.size_bytes / 1e6:.1f} MB, {done.fetched_bytes / 1e6:.1f} MB fetched"
        click.echo(f"{done.source}: {done.came_from}: {text} in {done.duration_s:.2f} s")


def _end(message: str, code: int) -> None:
    click.echo(message, err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
