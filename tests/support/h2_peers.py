"""HTTP/2 in the hand of a test: a client and an upstream that do exactly what they are told, frame by frame."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import h2.config
import h2.connection
import h2.events

from tests.support.wire import PATIENCE_S, Peer

Headers = list[tuple[str, str]]
GET: Headers = [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")]
POST: Headers = [(":method", "POST"), *GET[1:]]


class Connection(h2.connection.H2Connection):
    """h2's connection, which goes on after a GOAWAY: h2 takes it as the end and refuses what streams still send."""

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[h2.events.Event]]:
        event = h2.events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]


class H2Peer:
    """One HTTP/2 connection; every event that arrives is kept."""

    def __init__(self, peer: Peer, *, is_client: bool) -> None:
        self.peer = peer
        config = h2.config.H2Configuration(client_side=is_client, header_encoding="utf-8")
        self.h2 = Connection(config)
        self.events: list[Any] = []
        self.acknowledges = True
        self.is_over = False
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.peer.send(self.h2.data_to_send())

    def ask(self, headers: Headers = GET, body: bytes | None = None, *, end: bool = True) -> int:
        """Send a request; returns its stream's number."""
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, headers, end_stream=end and body is None)
        if body is not None:
            self.h2.send_data(stream_id, body, end_stream=end)
        self.flush()
        return stream_id

    async def read(self, patience_s: float | None = PATIENCE_S) -> None:
        """Take what arrives next; None: however long nothing comes, as between two requests."""
        data = await asyncio.wait_for(self.peer.reader.read(1 << 16), patience_s)
        if not data:
            self.is_over = True
            return
        for event in self.h2.receive_data(data):
            self.events.append(event)
            if isinstance(event, h2.events.DataReceived) and self.acknowledges:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()

    async def event(self, kind: type, stream_id: int | None = None) -> Any:
        """Return the first event of a kind, waiting for it."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and stream_id in (None, getattr(event, "stream_id", None)):
                    return event
            assert not self.is_over, f"the connection ended without {kind.__name__}"
            await self.read()

    async def answer(self, stream_id: int) -> tuple[dict[str, str], bytes, dict[str, str]]:
        """Return headers, body and trailers of an answer that ends well."""
        await self.event(h2.events.StreamEnded, stream_id)
        mine = [event for event in self.events if getattr(event, "stream_id", None) == stream_id]
        headers = next(event.headers for event in mine if isinstance(event, h2.events.ResponseReceived))
        body = b"".join(event.data for event in mine if isinstance(event, h2.events.DataReceived))
        trailers = [event.headers for event in mine if isinstance(event, h2.events.TrailersReceived)]
        return dict(headers), body, dict(trailers[0]) if trailers else {}

    async def gone(self) -> None:
        """Wait for the end of the connection."""
        try:
            while not self.is_over:
                await self.read()
        except ConnectionError:
            pass

    def close(self) -> None:
        self.peer.close()


def upstream(script: Callable[[H2Peer], Awaitable[None]]) -> Callable[[Peer], Awaitable[None]]:
    """Make a handler for `ScriptedUpstream` of a script that speaks HTTP/2."""

    async def handler(peer: Peer) -> None:
        await script(H2Peer(peer, is_client=False))

    return handler


async def echo(peer: H2Peer) -> None:
    """Script: answer each request with its body, and with a trailer."""
    answered: set[int] = set()
    while not peer.is_over:
        await peer.read(None)
        for event in list(peer.events):
            if isinstance(event, h2.events.StreamEnded) and event.stream_id not in answered:
                answered.add(event.stream_id)
                mine = [e for e in peer.events if getattr(e, "stream_id", None) == event.stream_id]
                body = b"".join(e.data for e in mine if isinstance(e, h2.events.DataReceived))
                peer.h2.send_headers(event.stream_id, [(":status", "200"), ("x-kind", "echo")])
                peer.h2.send_data(event.stream_id, body)
                peer.h2.send_headers(event.stream_id, [("x-after", "done")], end_stream=True)
        peer.flush()
