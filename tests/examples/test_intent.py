"""The intents: learnt from few sentences, and the same answers from the torch runtime and from a TorchServe archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.model_servers import client_of, serving

pytest.importorskip("torch")

from examples.intent import sentences, train

TEXTS = ["set an alarm for nine", "turn on the lamp", "play a song", "will it rain today", "hello my friend"]
WANTED = ["alarm", "lights", "music", "weather", "greeting"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    module, accuracy = train.train()
    assert accuracy >= 0.8
    return train.write(tmp_path_factory.mktemp("models"), module)


def test_no_held_out_sentence_was_learnt() -> None:
    learnt = {text for texts in sentences.TRAINING.values() for text in texts}
    assert not learnt & {text for _, text in sentences.HELD_OUT}


async def test_the_archive_answers_as_the_weights_do(folders: list[Path]) -> None:
    plain, archived = folders
    async with serving(model_dir=str(plain), model_name="intent") as frame, client_of(frame) as http:
        _, answer = await http.post("/v1/models/intent:predict", {"instances": TEXTS})
    assert [each["intent"] for each in answer["predictions"]] == WANTED
    settings = {"model_dir": str(archived), "model_name": "intent", "allow_code": True}
    async with serving(**settings) as frame, client_of(frame) as http:
        _, same = await http.post("/v1/models/intent:predict", {"instances": TEXTS})
        _, torchserve = await http.post("/predictions/intent", {"instances": TEXTS})
    assert same == torchserve
    for one, other in zip(answer["predictions"], same["predictions"], strict=True):
        assert one["intent"] == other["intent"]
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)


async def test_one_text_as_a_tensor(folders: list[Path]) -> None:
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["will it rain"]}
    async with serving(model_dir=str(folders[0]), model_name="intent") as frame, client_of(frame) as http:
        _, answer = await http.post("/v2/models/intent/infer", {"inputs": [tensor]})
    assert [output["name"] for output in answer["outputs"]] == ["intent", "probability"]
    assert answer["outputs"][0]["data"] == ["weather"]
