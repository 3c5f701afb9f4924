"""Joins V1 predictions of several requests into one call of the server, and hands every request its own rows.

Joined are `{"instances": [...]}` bodies, and nothing else in them, of one path and without credentials. An answer that
has not a row for each row fails that batch, and its requests are asked one by one; so does a batch that the server
refuses: each request then gets the server's own answer to itself.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from runtimes import tensors
from runtimes.batch_plan import BatchLimits
from runtimes.batching import Batcher, BatchSettings
from runtimes.failures import InferenceError, Kind
from runtimes.http.messages import JSON, Reply, Request
from runtimes.statistics import Statistics
from runtimes.tensors import Parameters, Tensor

PATHS_LIMIT = 100
_PRIVATE = (b"authorization", b"cookie", b"content-encoding")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
Pass = Callable[[Request], Awaitable[Reply]]


class Refused(Exception):
    """The server's own answer to one request that is no success."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"status {reply.status}")
        self.reply = reply


class Batches:
    """The batches of one server, by path."""

    def __init__(self, limits: BatchLimits, pass_on: Pass) -> None:
        self._settings = BatchSettings(limits=limits, joins=True)
        self._pass_on = pass_on
        self._by_path: dict[str, Batcher] = {}
        self.statistics = Statistics()

    def rows_of(self, request: Request) -> list[Any] | None:
        """Return the rows of a request that may share a batch, None for any other."""
        if request.method != b"POST" or request.query or not request.path.endswith(":predict"):
            return None
        if any(name in request.headers for name in _PRIVATE):
            return None
        if request.path not in self._by_path and len(self._by_path) >= PATHS_LIMIT:
            return None
        try:
            document = _decode(request.body)
        except msgspec.DecodeError:
            return None
        rows = document.get("instances") if isinstance(document, dict) and len(document) == 1 else None
        return rows if isinstance(rows, list) and rows else None

    async def answer(self, request: Request, rows: list[Any]) -> Reply:
        """Return the answer to these rows; raises QUEUE_FULL."""
        batcher = self._by_path.get(request.path)
        if batcher is None:
            batcher = self._by_path[request.path] = self._batcher(request.path)
        asked = [tensors.of_objects("instances", tensors.JSON, rows)]
        try:
            found = await batcher.submit(asked, {}, math.inf)
        except Refused as refused:
            return refused.reply
        return Reply(200, _encode({"predictions": found[0].array.tolist()}))

    def _batcher(self, path: str) -> Batcher:
        async def run(inputs: Sequence[Tensor], parameters: Parameters) -> list[Tensor]:
            rows = inputs[0].array.tolist()
            body = _encode({"instances": rows})
            reply = await self._pass_on(Request(b"POST", path, "", {b"content-type": JSON}, body))
            if reply.status != 200:
                raise Refused(reply)
            return [tensors.of_objects("predictions", tensors.JSON, _predictions(reply.body, len(rows)))]

        return Batcher(self._settings, run, self.statistics, is_cancellable=True)

    def close(self) -> None:
        """Fail what still waits."""
        for batcher in self._by_path.values():
            batcher.close()


def _predictions(body: bytes, rows: int) -> list[Any]:
    try:
        found = _decode(body)["predictions"]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise InferenceError(Kind.MODEL_FAILED, "the model server's answer has no predictions") from error
    if not isinstance(found, list) or len(found) != rows:
        have = f"{len(found)} predictions" if isinstance(found, list) else "no list of predictions"
        raise InferenceError(Kind.MODEL_FAILED, f"the model server answered {rows} instances with {have}")
    return found
