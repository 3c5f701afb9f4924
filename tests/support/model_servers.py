"""Model servers for tests: a Frame on free ports, and models that show what they were given."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import numpy as np

from runtimes.config import Config
from runtimes.frame import Frame


class Doubler:
    """Doubles `x`; batches; remembers the rows of every call."""

    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    outputs = [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}]
    labels = ("a", "b", "c", "d")
    max_batch_size = 8

    def __init__(self) -> None:
        self.rows: list[int] = []

    def predict(self, inputs: dict[str, Any]) -> Any:
        self.rows.append(len(inputs["x"]))
        if np.isnan(inputs["x"]).any():
            raise ValueError("not a number")
        return inputs["x"] * 2

    def explain(self, inputs: dict[str, Any]) -> Any:
        return np.abs(inputs["x"])

    def generate(self, text: str, parameters: dict[str, Any]) -> Iterator[str]:
        for position, word in enumerate(text.split()):
            if word == "fail":
                raise ValueError(f"at {position}")
            yield word


class Recommender:
    """Two inputs of one row each, as the recommender request of the field has it; two outputs."""

    inputs = [
        {"name": "products", "datatype": "FP32", "shape": [-1, 1]},
        {"name": "users", "datatype": "FP32", "shape": [-1, 1]},
    ]
    outputs = [{"name": "model-1", "datatype": "FP32", "shape": [-1, 1]}]

    def predict(self, inputs: dict[str, Any]) -> Any:
        return inputs["products"] / inputs["users"]


@contextlib.asynccontextmanager
async def serving(target: Any = None, **settings: Any) -> AsyncIterator[Frame]:
    """Serve a model object (or what the settings name) on free ports until the block ends."""
    config = dataclasses.replace(Config(port=0, drain_s=2.0), **settings)
    frame = Frame(config, target)
    await frame.start()
    try:
        yield frame
    finally:
        await frame.close()


class Client:
    """Plain HTTP calls that return status and document."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._port = port

    async def call(
        self, method: str, path: str, document: Any = None, *, data: bytes | None = None, **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        if document is not None:
            data = json.dumps(document).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{self._port}{path}"
        async with self._session.request(method, url, data=data, headers=named) as answer:
            body = await answer.read()
            is_json = answer.content_type == "application/json" and body
            return answer.status, json.loads(body) if is_json else body, dict(answer.headers)

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return (await self.call("GET", path, **headers))[:2]

    async def post(self, path: str, document: Any = None, **headers: str) -> tuple[int, Any]:
        return (await self.call("POST", path, document, **headers))[:2]


@contextlib.asynccontextmanager
async def client_of(frame: Frame) -> AsyncIterator[Client]:
    """Yield a client of this server."""
    async with aiohttp.ClientSession() as session:
        yield Client(session, frame.port)
