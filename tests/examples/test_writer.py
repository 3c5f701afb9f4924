"""The writer: the same seed writes the same text, piece by piece; counts are those of the text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from examples.writer import train
from examples.writer.model import Writer, counted, tokens
from tests.support.model_servers import client_of, serving

TEXT = "A cat sat. A cat ran (fast)."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train.write(tmp_path_factory.mktemp("models"), counted(train.LICENSE.read_text()))


def test_counts_are_of_one_and_two_tokens_before() -> None:
    assert tokens(TEXT) == ["A", "cat", "sat", ".", "A", "cat", "ran", "(", "fast", ")", "."]
    counts = counted(TEXT)
    assert counts["A cat"] == {"sat": 1, "ran": 1}
    assert counts["cat"] == {"sat": 1, "ran": 1}
    assert counts["A"] == {"cat": 2}
    assert counts[""]["A"] == counts[""]["."] == 2


def test_a_seed_is_a_text(folder: Path) -> None:
    writer = Writer(folder)
    writer.load()

    def write(**parameters: int) -> list[str]:
        return list(writer.generate("You may", parameters))

    assert write(seed=1) == write(seed=1) != write(seed=2)
    assert len(write(max_tokens=7)) == 7
    # Python's generator of random numbers is the same everywhere, so the words may be written down.
    assert "".join(write(seed=0, max_tokens=6)) == " obtain a copy of the copyright"


def test_it_goes_on_where_the_text_knows_nothing() -> None:
    writer = Writer(Path())
    writer._counts = counted(TEXT)
    assert len(list(writer.generate("an unknown word", {"max_tokens": 30}))) == 30


async def test_generate_and_its_stream_say_the_same(folder: Path) -> None:
    asked = {"text_input": "You may", "parameters": {"max_tokens": 6, "seed": 0}}
    async with serving(model_dir=str(folder), model_name="writer") as frame, client_of(frame) as http:
        _, whole = await http.post("/v2/models/writer/generate", asked)
        _, body = await http.post("/v2/models/writer/generate_stream", asked)
    events = [json.loads(line.removeprefix("data: ")) for line in body.decode().split("\n\n") if line]
    assert len(events) == 6
    assert "".join(event["text_output"] for event in events) == whole["text_output"]
