"""A class without predict: its predictor is another server, asked by V1 or V2; refusals keep their meaning."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from runtimes.failures import InferenceError, Kind
from runtimes.python import remote
from runtimes.python.remote import Predictor, Transformer
from tests.support.model_servers import Client, Doubler, Recommender, client_of, serving


class Steps:
    """Halves what comes in and adds one to what comes out."""

    def __init__(self) -> None:
        self.is_unloaded = False

    def preprocess(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"x": np.asarray(inputs["instances"], dtype=np.float32) / 2}

    def postprocess(self, outputs: dict[str, Any]) -> dict[str, Any]:
        return {name: value + 1 for name, value in outputs.items()}

    def unload(self) -> None:
        self.is_unloaded = True


@contextlib.asynccontextmanager
async def both(model: Any, steps: Any, **predictor: Any) -> AsyncIterator[Client]:
    """A predictor and the transformer in front of it; a client of the latter."""
    async with serving(model, model_name="m") as behind:
        chosen = Predictor(f"127.0.0.1:{behind.port}", "m", **predictor)
        async with serving(Transformer(steps, chosen), model_name="m") as frame, client_of(frame) as http:
            yield http


@pytest.mark.parametrize("protocol", ["v1", "v2"])
async def test_both_steps_stand_around_the_predictors_answer(protocol: str) -> None:
    steps = Steps()
    async with both(Doubler(), steps, protocol=protocol) as http:
        asked = {"instances": [[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 2.0]]}
        answer = await http.post("/v1/models/m:predict", asked)
    assert answer == (200, {"predictions": [[2.0, 3.0, 4.0, 5.0], [1.0, 1.0, 1.0, 3.0]]})
    assert steps.is_unloaded


@pytest.mark.parametrize("protocol", ["v1", "v2"])
async def test_several_named_inputs(protocol: str) -> None:
    class Names:
        inputs = Recommender.inputs

        def preprocess(self, inputs: dict[str, Any]) -> dict[str, Any]:
            return inputs

    async with both(Recommender(), Names(), protocol=protocol) as http:
        row = {"products": [1.0], "users": [4.0]}
        status, answer = await http.post("/v1/models/m:predict", {"instances": [row, row]})
    assert (status, answer["predictions"]) == (200, [[0.25], [0.25]])


async def test_many_requests_are_under_way_at_once() -> None:
    entered = 0
    all_in = asyncio.Event()

    class Meeting:
        async def predict(self, inputs: dict[str, Any]) -> Any:
            nonlocal entered
            entered += 1
            if entered == 8:
                all_in.set()
            await all_in.wait()
            return inputs["instances"]

    class Nothing:
        def postprocess(self, outputs: Any) -> Any:
            return outputs

    async with both(Meeting(), Nothing()) as http:
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(http.post("/v1/models/m:predict", {"instances": [[n]]}) for n in range(8)))
    assert [answer["predictions"] for _, answer in answers] == [[[n]] for n in range(8)]


async def test_what_the_predictor_refuses_keeps_its_meaning() -> None:
    async with both(Doubler(), Steps()) as http:
        status, answer = await http.post("/v1/models/m:predict", {"instances": [[1.0, 2.0]]})
        assert status == 400 and "the predictor 127.0.0.1" in answer["error"]
        status, answer = await http.post("/v1/models/m:predict", {"instances": [[float(2**200)] * 4]})
        assert status in (400, 500)


async def test_a_predictor_that_is_away_is_not_ready() -> None:
    steps = Transformer(Steps(), Predictor("127.0.0.1:1", "m"))
    async with serving(steps, model_name="m") as frame, client_of(frame) as http:
        status, answer = await http.post("/v1/models/m:predict", {"instances": [[1.0, 2.0, 3.0, 4.0]]})
    assert status == 503 and "the predictor 127.0.0.1:1" in answer["error"]


@pytest.mark.parametrize(
    ("body", "protocol"),
    [(b"[]", "v1"), (b"{", "v1"), (b'{"predictions": 5}', "v2"), (b'{"outputs": [{"name": "x"}]}', "v2")],
)
def test_an_answer_that_is_none_is_told(body: bytes, protocol: str) -> None:
    with pytest.raises(InferenceError, match="the predictor's answer is not of protocol") as told:
        remote.outputs_of(body, protocol)
    assert told.value.kind is Kind.MODEL_FAILED


def test_texts_and_rows_of_objects() -> None:
    asked = remote.question({"text": np.array([b"a", b"b"], dtype=object)}, "v1")
    assert asked == {"instances": ["a", "b"]}
    found = remote.outputs_of(b'{"predictions": [{"a": 1, "b": [2]}, {"a": 3, "b": [4]}]}', "v1")
    assert {name: value.tolist() for name, value in found.items()} == {"a": [1, 3], "b": [[2], [4]]}
    with pytest.raises(InferenceError, match="x is FP16; give float32"):
        remote.question({"x": np.zeros(2, dtype=np.float16)}, "v2")


def test_other_protocols_are_refused() -> None:
    with pytest.raises(ValueError, match="predictor_protocol: 'grpc-v2'"):
        Predictor("h", "m", "grpc-v2")


async def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "ANSWER_LIMIT_BYTES", 20)
    async with both(Doubler(), Steps()) as http:
        status, answer = await http.post("/v1/models/m:predict", {"instances": [[1.0, 2.0, 3.0, 4.0]]})
    assert status == 500
    assert "answered with more than 20 bytes" in answer["error"]
