"""generate and generate_stream: text in, text out, one server-sent event per reply.

The first piece is awaited before the head is written: a failure before it is plain JSON with its status, one after it
an event inside the stream. When the client leaves, the model's generator is closed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from runtimes.failures import InferenceError, Kind
from runtimes.http.exchange import deadline_of, must_be, reply_with
from runtimes.http.messages import EVENTS, Reply, Request
from runtimes.protocol import generate
from runtimes.repository.store import Repository
from runtimes.servable import Servable
from runtimes.tensors import Parameters

_END = object()


class Generate:
    """The two handlers."""

    def __init__(self, repository: Repository, body_limit_bytes: int) -> None:
        self._repository = repository
        self._limit_bytes = body_limit_bytes

    async def once(self, request: Request, name: str, version: str) -> Reply:
        """Answer with all the text at once."""
        servable, text, parameters = await self._asked(request, name, version)
        pieces: list[Any] = [piece async for piece in servable.generated(text, parameters, deadline_of(parameters))]
        body = generate.reply(servable.name, servable.version, generate.whole(pieces))
        return reply_with(request, body)

    async def stream(self, request: Request, name: str, version: str) -> Reply:
        """Answer with one event per piece of text."""
        servable, text, parameters = await self._asked(request, name, version)
        pieces = servable.generated(text, parameters, deadline_of(parameters))
        first = await anext(pieces, _END)
        headers = b"Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"
        return Reply(200, content_type=EVENTS, headers=headers, stream=_events(servable, first, pieces))

    async def _asked(self, request: Request, name: str, version: str) -> tuple[Servable, str, Parameters]:
        must_be(request, b"POST")
        encoding = request.headers.get(b"content-encoding", b"identity").lower()
        if encoding != b"identity":
            raise InferenceError(Kind.UNSUPPORTED, "generate takes bodies without Content-Encoding only")
        text, parameters = generate.decode(request.body)
        return await self._repository.acquire(name, version), text, parameters


async def _events(servable: Servable, first: Any, pieces: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    try:
        if first is _END:
            return
        yield generate.event(generate.reply(servable.name, servable.version, first))
        async for piece in pieces:
            yield generate.event(generate.reply(servable.name, servable.version, piece))
    except InferenceError as error:
        yield generate.error_event(error)
    finally:
        await pieces.aclose()  # type: ignore[attr-defined]
