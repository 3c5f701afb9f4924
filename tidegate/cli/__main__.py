"""The command group; `tidegate` and `python -m tidegate.cli` both end here."""

from __future__ import annotations

import platform
from importlib import metadata

import click
from click import shell_completion

from tidegate.cli import common, output
from tidegate.cli.convert import convert
from tidegate.cli.down import down
from tidegate.cli.logs import logs
from tidegate.cli.status import status
from tidegate.cli.up import up
from tidegate.cli.why import why

HELP = """Serverless services on your machine or cluster: they cost nothing while nobody calls them, and wake on the
first request.

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 nothing runs there, 4 not in time."""


@click.group(help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Hold the commands."""


@click.command()
@common.json_option
def version(as_json: bool) -> None:
    """Print the version of Tidegate and of Python."""
    document = {"tidegate": metadata.version("tidegate"), "python": platform.python_version()}
    if as_json:
        output.print_json(document)
    else:
        click.echo(f"tidegate {document['tidegate']} (Python {document['python']})")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script: source <(tidegate completion bash)."""
    found = shell_completion.get_completion_class(shell)
    assert found is not None  # click knows the three shells of the choice
    click.echo(found(main, {}, "tidegate", "_TIDEGATE_COMPLETE").source())


for command in (up, down, status, why, logs, convert, version, completion):
    main.add_command(command)


if __name__ == "__main__":
    main(prog_name="tidegate")
