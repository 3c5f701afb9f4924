"""A transformer: a class with `preprocess` or `postprocess` and no `predict`, whose model is a predictor elsewhere.

Its two steps run in threads, the call between them on the event loop, so many requests are under way at once. The
predictor is asked by V1 or V2 in JSON under the same model name; what it refuses keeps its meaning.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from runtimes import tensors
from runtimes.datatypes import DATATYPES
from runtimes.failures import InferenceError, Kind

PROTOCOLS = ("v1", "v2")
ERROR_LIMIT = 500
ANSWER_LIMIT_BYTES = 256 << 20
_KINDS = {
    400: Kind.BAD_INPUT,
    404: Kind.NOT_FOUND,
    413: Kind.TOO_LARGE,
    422: Kind.BAD_INPUT,
    429: Kind.QUEUE_FULL,
    503: Kind.NOT_READY,
    504: Kind.LATE,
}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Predictor:
    """Where and how the predictor is asked."""

    host: str
    model: str
    protocol: str = "v1"
    timeout_s: float = 300.0

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"predictor_protocol: {self.protocol!r} is not v1 or v2")

    @property
    def url(self) -> str:
        """The address of its predict or infer call."""
        verb = f"v1/models/{self.model}:predict" if self.protocol == "v1" else f"v2/models/{self.model}/infer"
        return f"http://{self.host}/{verb}"


class Transformer:
    """Such a class's object as a model; everything but `predict` is the object's own."""

    def __init__(self, target: Any, predictor: Predictor) -> None:
        self._target = target
        self._predictor = predictor
        self._session: Any = None
        for name in ("preprocess", "postprocess"):
            if callable(step := getattr(target, name, None)):
                setattr(self, name, step if inspect.iscoroutinefunction(step) else _in_thread(step))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    async def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the predictor; raises InferenceError of the kind that its answer has."""
        import aiohttp  # servers that are no transformers do not pay for this import

        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._predictor.timeout_s)
            self._session = aiohttp.ClientSession(timeout=timeout)
        body = _encode(question(inputs, self._predictor.protocol))
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(self._predictor.url, data=body, headers=headers) as reply:
                answer = await _whole(reply, self._predictor.host)
        except TimeoutError as error:
            raise InferenceError(Kind.LATE, f"the predictor {self._predictor.host} did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise InferenceError(Kind.NOT_READY, f"the predictor {self._predictor.host}: {error}") from error
        if reply.status != 200:
            text = answer[:ERROR_LIMIT].decode(errors="replace")
            kind = _KINDS.get(reply.status, Kind.MODEL_FAILED)
            raise InferenceError(kind, f"the predictor {self._predictor.host} answered {reply.status}: {text}")
        return outputs_of(answer, self._predictor.protocol)

    async def unload(self) -> None:
        """Close the connections to the predictor, then unload the object."""
        if self._session is not None:
            await self._session.close()
        if callable(getattr(self._target, "unload", None)):
            await asyncio.to_thread(self._target.unload)


async def _whole(reply: Any, host: str) -> bytes:
    parts, size = [], 0
    async for part in reply.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > ANSWER_LIMIT_BYTES:
            text = f"the predictor {host} answered with more than {ANSWER_LIMIT_BYTES} bytes"
            raise InferenceError(Kind.MODEL_FAILED, text)
    return b"".join(parts)


def question(inputs: Mapping[str, Any], protocol: str) -> dict[str, Any]:
    """Return the body that asks for these arrays; raises InferenceError for what JSON cannot carry."""
    found = {name: tensors.of_array(name, value) for name, value in inputs.items()}
    for tensor in found.values():
        if not DATATYPES[tensor.datatype].has_json:
            raise InferenceError(Kind.MODEL_FAILED, f"preprocess: {tensor.name} is {tensor.datatype}; give float32")
    if protocol == "v2":
        listed = [
            {"name": name, "shape": list(one.shape), "datatype": one.datatype, "data": _texts(one.array.ravel())}
            for name, one in found.items()
        ]
        return {"inputs": listed}
    columns = {name: _texts(one.array) for name, one in found.items()}
    if len(columns) == 1:
        return {"instances": next(iter(columns.values()))}
    return {"instances": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


def outputs_of(body: bytes, protocol: str) -> dict[str, Any]:
    """Return the arrays of a predictor's answer; raises InferenceError for one that is none."""
    try:
        document = _decode(body)
        if protocol == "v2":
            return {one["name"]: _array(one["data"], one["datatype"], one["shape"]) for one in document["outputs"]}
        rows = document["predictions"]
        if rows and all(isinstance(row, dict) for row in rows):
            return {name: np.asarray([row[name] for row in rows]) for name in rows[0]}
        return {"predictions": np.asarray(rows)}
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        text = f"the predictor's answer is not of protocol {protocol}: {error!r}"
        raise InferenceError(Kind.MODEL_FAILED, text) from error


def _array(data: Any, datatype: str, shape: list[int]) -> Any:
    return np.asarray(data, dtype=DATATYPES[datatype].numpy).reshape(shape)


def _texts(array: Any) -> Any:
    if array.dtype != object:
        return array.tolist()
    texts = [each.decode() if isinstance(each, bytes) else each for each in array.ravel()]
    return np.array(texts, dtype=object).reshape(array.shape).tolist()


def _in_thread(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def run(values: Any) -> Any:
        return await asyncio.to_thread(step, values)

    return run
