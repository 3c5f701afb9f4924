"""`tidegate convert`: YAML of older APIs in YAML that Tidegate and today's KServe take.

Reads files or standard input, writes to standard output, and touches no cluster. Objects of other kinds pass unchanged.
"""

from __future__ import annotations

from typing import Any, TextIO

import click
import yaml

from tidegate.cli import output
from tidegate.cli.failures import Failure
from tidegate.contracts import inference_legacy

SIZE_LIMIT_BYTES = 8 << 20
PARTS = ("default", "canary", "all")


@click.command()
@click.option(
    "-f",
    "--filename",
    "files",
    type=click.File("r"),
    multiple=True,
    default=["-"],
    help="YAML file; - is standard input.",
)
@click.option(
    "--part",
    type=click.Choice(PARTS),
    default="all",
    show_default=True,
    help="Of an object with a canary: the one to apply first, the one to apply when that is ready, or both.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list instead of YAML.")
def convert(files: tuple[TextIO, ...], part: str, as_json: bool) -> None:
    """Convert serving.kubeflow.org/v1alpha2 InferenceServices to serving.kserve.io/v1beta1.

    \b
    tidegate convert -f old.yaml --part default | kubectl apply -f -
    kubectl wait --for=condition=Ready inferenceservice/NAME
    tidegate convert -f old.yaml --part canary | kubectl apply -f -
    """
    made = [found for file in files for found in _converted(file, part)]
    if as_json:
        output.print_json(made)
    else:
        click.echo(yaml.safe_dump_all(made, sort_keys=False), nl=False)


def _converted(file: TextIO, part: str) -> list[dict[str, Any]]:
    text = file.read(SIZE_LIMIT_BYTES + 1)
    if len(text) > SIZE_LIMIT_BYTES:
        raise Failure(f"{file.name}: larger than {SIZE_LIMIT_BYTES >> 20} MiB")
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        raise Failure(f"{file.name}: not YAML: {error}") from error
    made: list[dict[str, Any]] = []
    for number, document in enumerate(documents, 1):
        if not isinstance(document, dict):
            raise Failure(f"{file.name}: document {number} is not an object")
        if document.get("apiVersion") not in inference_legacy.OLD_API_VERSIONS:
            made += [document] if part != "canary" else []
            continue
        try:
            both = inference_legacy.convert(document)
        except inference_legacy.ConvertError as error:
            name = (document.get("metadata") or {}).get("name", "")
            raise Failure(f"{file.name}: InferenceService {name!r}: {error}") from error
        made += {"default": both[:1], "canary": both[1:], "all": both}[part]
    return made
