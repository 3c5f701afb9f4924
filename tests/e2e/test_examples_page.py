"""docs/examples.md as a reader follows it: every command is run as it stands, and answers what the page says.

Twice: after the model was started, and once more from zero.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from loadtest.figures import ROOT
from loadtest.instance import Instance
from tests.support import pages
from tests.support.pages import Step

SECTIONS = {
    name: steps
    for name, steps in pages.sections(ROOT / "docs" / "examples.md").items()
    if steps[0].answer or len(steps) > 1
}
TOLERANCE = 0.03
"""How far the numbers of a model may differ that was trained on another machine."""


@dataclass
class Reader:
    """Somebody who copies commands from the page into a shell."""

    models: Path
    deployed: set[str] = field(default_factory=set)

    async def run(self, instance: Instance, step: Step) -> str:
        """Run a step and return what it printed; only port and folder differ from the page."""
        code = step.code.replace("$PWD/build/models", str(self.models)).replace("build/models", str(self.models))
        code = code.replace(":8080", f":{instance.port}")
        path = f"PATH={Path(sys.executable).parent}:{os.environ['PATH']}"
        interpreter = ["bash", "-euo", "pipefail", "-c"] if step.language == "sh" else [sys.executable, "-c"]
        return await instance.command("env", path, *interpreter, code, timeout_s=180)

    async def deploy(self, instance: Instance, section: str) -> None:
        """Run the steps of a section that have no answer, once."""
        if section not in self.deployed:
            for step in SECTIONS[section]:
                if step.answer is None:
                    await self.run(instance, step)
            self.deployed.add(section)

    async def ask(self, instance: Instance, section: str) -> None:
        """Run the other steps; their answers must be those of the page."""
        for step in SECTIONS[section]:
            if step.answer is not None:
                answer = await self.run(instance, step)
                assert pages.is_same(answer, step.answer, TOLERANCE), f"{step.code}\nanswered\n{answer}"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, kubectl: str) -> Iterator[Reader]:
    for module in ("torch", "onnx", "onnxruntime", "skops", "safetensors", "tritonclient"):
        pytest.importorskip(module)
    yield Reader(tmp_path_factory.mktemp("models"))


def services(section: str) -> list[str]:
    """Return the names of the InferenceServices that a section applies."""
    code = "".join(step.code for step in SECTIONS[section])
    [file] = set(re.findall(r"examples/\w+/inferenceservice\.yaml", code))
    return [document["metadata"]["name"] for document in yaml.safe_load_all((ROOT / file).read_text())]


def test_every_inference_service_of_the_examples_is_on_the_page() -> None:
    page = (ROOT / "docs" / "examples.md").read_text()
    for file in (ROOT / "examples").glob("*/inferenceservice.yaml"):
        name = file.parent.name
        assert f"examples/{name}/inferenceservice.yaml" in page or f"](../examples/{name})" in page, name


@pytest.mark.parametrize("section", SECTIONS)
async def test_the_commands_of_the_page_give_its_answers(instance: Instance, reader: Reader, section: str) -> None:
    await reader.deploy(instance, section)
    await reader.ask(instance, section)


@pytest.mark.parametrize("section", SECTIONS)
async def test_and_so_they_do_from_zero(instance: Instance, reader: Reader, section: str) -> None:
    await reader.deploy(instance, section)
    for service in services(section):
        await instance.wait_zero(await instance.revision_of(f"{service}-predictor"), 90)
    await reader.ask(instance, section)
