"""A watch as an HTTP answer: JSON lines in chunks, flushed at once, until the client's or the server's time is up.

Events come from `reads.Watch` in the order of the store; nothing is missed or repeated. A slow client is held by TCP
back-pressure while its bounded mailbox fills, and is then sent an ERROR event with 410.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

from aiohttp import web

from cluster.api import negotiate, present, reads, status
from cluster.api.backend import Backend
from cluster.api.kinds import Kind
from cluster.api.strictness import Strictness
from cluster.store import Entry
from tidegate.kube.api import ApiError

SEND_TIMEOUT_S = 60.0
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


async def stream(
    request: web.Request, backend: Backend, kind: Kind, selection: reads.Selection, wanted: negotiate.Wanted
) -> web.StreamResponse:
    """Answer a watch request; raises `ApiError` only before the first byte."""
    query = request.query
    initial_events = query.get("sendInitialEvents") == "true"
    since = None if initial_events else _since(query.get("resourceVersion", ""))
    try:
        watch = reads.Watch(backend, kind, selection, since)
    except ApiError as error:
        if not error.is_gone:
            raise
        return await _refuse_old(request, error)
    response = web.StreamResponse(headers={"Content-Type": negotiate.JSON, "Cache-Control": "no-cache, private"})
    response.enable_chunked_encoding()
    try:
        await response.prepare(request)
        writer = _Writer(response, backend, kind, wanted, query)
        bookmarks = query.get("allowWatchBookmarks") == "true"
        timeout_s = _timeout_s(query.get("timeoutSeconds"), backend.strictness)
        await _follow(watch, writer, timeout_s, bookmarks, initial_events)
        await response.write_eof()
    except ConnectionError:
        _hang_up(request)  # the client left or reads no more; there is nobody to tell
    finally:
        watch.close()
    return response


async def _refuse_old(request: web.Request, error: ApiError) -> web.StreamResponse:
    # As in Kubernetes: history that is gone is told by an ERROR event of a watch that has begun. Clients relist then,
    # while many take a failing answer for a failing server (kopf ends).
    line = present.event_line("ERROR", present.encode(status.failure(error)))
    return web.Response(body=line, content_type=negotiate.JSON)


async def _follow(watch: reads.Watch, writer: _Writer, timeout_s: float, bookmarks: bool, initial_events: bool) -> None:
    try:
        if initial_events:
            await writer.events(watch.initial())
            await writer.bookmark(INITIAL_EVENTS_END)
        async for events in watch.batches(timeout_s):
            if events:
                await writer.events(events)
            elif bookmarks:
                await writer.bookmark()
        if bookmarks:
            await writer.bookmark()  # so that a quiet watch goes on from here and not from where it began
    except ApiError as error:
        await writer.error(error)


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


class _Writer:
    """Renders and sends the lines of one watch."""

    def __init__(
        self,
        response: web.StreamResponse,
        backend: Backend,
        kind: Kind,
        wanted: negotiate.Wanted,
        query: Mapping[str, str],
    ) -> None:
        self._response = response
        self._backend = backend
        self._kind = kind
        self._render: Callable[[Entry], bytes] = present.renderer(kind, wanted, backend.clock, query)

    async def events(self, events: list[reads.Event]) -> None:
        lines = [present.event_line(event.type, self._render(event.entry)) for event in events]
        await self._send(b"".join(lines))

    async def bookmark(self, annotations: dict[str, str] | None = None) -> None:
        rendered = present.bookmark(self._kind, self._backend.store.revision, annotations)
        await self._send(present.event_line("BOOKMARK", rendered))

    async def error(self, error: ApiError) -> None:
        await self._send(present.event_line("ERROR", present.encode(status.failure(error))))

    async def _send(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._response.write(data)
        except TimeoutError as error:
            raise ConnectionResetError("the client stopped reading") from error


def _since(text: str) -> int | None:
    if text in ("", "0"):
        return None
    try:
        return int(text)
    except ValueError:
        raise status.bad_request(f"resourceVersion: Invalid value: {text!r}") from None


def _timeout_s(text: str | None, strictness: Strictness) -> float:
    try:
        asked = float(text) if text else 0.0
    except ValueError:
        raise status.bad_request(f"timeoutSeconds: Invalid value: {text!r}") from None
    # Without a wish each watch ends at another moment, so that clients do not all come back at once.
    own = strictness.watch_s * (1 + random.random())
    return min(asked or own, own) if strictness.caps_watches or asked <= 0 else asked
