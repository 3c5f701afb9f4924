"""`tidegate down`: stop a local instance; its state stays unless --purge."""

from __future__ import annotations

import time
from pathlib import Path

import click

from tidegate.cli import common, instance, output


@click.command()
@common.state_option
@click.option("--purge", is_flag=True, help="Remove the state folder too: every object and every log.")
@common.json_option
def down(state: Path | None, purge: bool, as_json: bool) -> None:
    """Stop the local instance and every process of it."""
    local = common.open_instance(state)
    started = time.monotonic()
    was_running = instance.stop(local)
    took_s = round(time.monotonic() - started, 3)
    if purge:
        instance.purge(local)
    if as_json:
        output.print_json({"state": str(local.state), "was_running": was_running, "seconds": took_s, "purged": purge})
        return
    click.echo(f"stopped in {took_s:.1f} s" if was_running else f"nothing runs in {local.state}")
    if purge:
        click.echo(f"removed {local.state}")
