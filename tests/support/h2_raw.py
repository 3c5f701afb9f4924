"""HTTP/2 frames spelt out by hand, for clients that keep to no rule, and the reading of what comes back."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

import hpack

from tests.support.hostile_rows import Line
from tests.support.hostile_world import HOST, PATIENCE_S

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITISED = 0x20
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(6, 12)

Fields = list[tuple[bytes, bytes]]
GET: Fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", HOST), (b":path", b"/")]
POST: Fields = [(b":method", b"POST"), *GET[1:]]


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """Return one frame; `length` lies about its payload."""
    size = len(payload) if length is None else length
    return struct.pack(">BHBBL", size >> 16, size & 0xFFFF, kind, flags, stream_id) + payload


def settings(*values: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HL", *value) for value in values))


def block(fields: Fields) -> bytes:
    """Encode fields as literals that are not indexed and not compressed, whatever they are."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields)


def _string(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes((len(text),)) + text
    left, out = len(text) - 127, bytearray((127,))
    while left >= 128:
        out.append(left % 128 + 128)
        left //= 128
    return bytes(out) + bytes((left,)) + text


def headers(stream_id: int, fields: Fields, *, end: bool = True, flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags | (END_STREAM if end else 0), stream_id, block(fields))


def data(stream_id: int, payload: bytes, *, end: bool = True) -> bytes:
    return frame(DATA, END_STREAM if end else 0, stream_id, payload)


def reset(stream_id: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream_id, struct.pack(">L", code))


def window(stream_id: int, count: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, struct.pack(">L", count))


@dataclass
class StreamAnswer:
    """What one stream got. `reset`: the code of RST_STREAM."""

    status: int = 0
    reason: str = ""
    body: bytes = b""
    is_ended: bool = False
    reset: int | None = None


class RawClient:
    """A connection whose every byte a test spells out; what comes back is read by the letter."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.streams: dict[int, StreamAnswer] = {}
        self.goaway: int | None = None
        self.pongs = 0
        self._position = 0
        self._decoder = hpack.Decoder()

    @classmethod
    async def connect(cls, port: int, first: bytes = PREFACE + settings()) -> RawClient:
        client = cls(await Line.connect(port))
        client.line.send(first)
        return client

    def send(self, sent: bytes) -> None:
        self.line.send(sent)

    def stream(self, stream_id: int) -> StreamAnswer:
        return self.streams.setdefault(stream_id, StreamAnswer())

    def _read(self) -> None:
        raw = self.line.raw
        while len(raw) - self._position >= 9:
            high, low, kind, flags, stream_id = struct.unpack_from(">BHBBL", raw, self._position)
            start = self._position + 9
            end = start + (high << 16 | low)
            if end > len(raw):
                return
            self._position = end
            self._take(kind, flags, stream_id, raw[start:end])

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == HEADERS:
            assert flags & END_HEADERS
            stream = self.stream(stream_id)
            fields = dict(self._decoder.decode(payload, raw=True))
            stream.status = int(fields.get(b":status", stream.status))
            stream.reason = fields.get(b"x-tidegate-reason", stream.reason.encode()).decode()
        elif kind == DATA:
            self.stream(stream_id).body += payload
        elif kind == RST_STREAM:
            self.stream(stream_id).reset = struct.unpack(">L", payload)[0]
        elif kind == GOAWAY:
            self.goaway = struct.unpack_from(">L", payload, 4)[0]
        elif kind == PING and flags & ACK:
            self.pongs += 1
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.stream(stream_id).is_ended = True

    async def until(self, condition: object) -> None:
        """Read until the condition, a function of nothing, holds."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self._read()
                if condition():  # type: ignore[operator]
                    return
                assert not self.line.is_over, f"closed; GOAWAY {self.goaway}, {self.streams}"
                self.line.news.clear()
                await self.line.news.wait()

    async def answer(self, stream_id: int) -> StreamAnswer:
        """Return what a stream got when it is over."""
        stream = self.stream(stream_id)
        await self.until(lambda: stream.is_ended or stream.reset is not None)
        return stream

    async def closed(self) -> int | None:
        """Wait for the end of the connection; return the code of the GOAWAY that came before it."""
        await self.line.over()
        self._read()
        return self.goaway

    async def pong(self) -> None:
        """Ask for a sign of life: everything sent before has been read then."""
        seen = self.pongs
        self.send(frame(PING, 0, 0, b"12345678"))
        await self.until(lambda: self.pongs > seen)

    def close(self) -> None:
        self.line.close()
