"""One call by HTTP/2 in clear text to see whether somebody is there: readiness probes of apps that speak it.

Small on purpose: one connection per call, no pool, a bounded answer, and the first stream of a connection is all there
is. It decides nothing about readiness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tidegate.wire import h2_frames as frames
from tidegate.wire import hpack_encoder
from tidegate.wire.h2_frames import ConnectionFailed, ErrorCode
from tidegate.wire.h2_reader import FrameReader
from tidegate.wire.hpack_decoder import Decoder

ANSWER_LIMIT_BYTES = 4096
STREAM_ID = 1
HEALTH_METHOD = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"
"""`HealthCheckResponse.status` = SERVING, as protobuf has it."""


class _Call:
    """What one call was answered; the sink of its frames."""

    def __init__(self, sent: list[bytes]) -> None:
        self.is_lost = False  # the answer is complete, or nothing more of it is wanted
        self.has_settings = False
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self._sent = sent
        self._decoder = Decoder(16 * 1024)

    def on_data(self, stream_id: int, data: bytes, size: int, is_end: bool) -> None:
        self.body += data
        self.is_lost = is_end or len(self.body) > ANSWER_LIMIT_BYTES

    def on_headers(self, stream_id: int, block: bytes, is_end: bool) -> None:
        self.headers.update(self._decoder.decode(block))
        self.is_lost = is_end

    def on_reset(self, stream_id: int, code: int) -> None:
        self.is_lost = True

    def on_settings(self, payload: bytes) -> None:
        self.has_settings = True
        self._sent.append(frames.SETTINGS_ACK)

    def on_settings_ack(self) -> None:
        pass

    def on_ping(self, payload: bytes, is_ack: bool) -> None:
        if not is_ack:
            self._sent.append(frames.ping(payload, is_ack=True))

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        self.is_lost = self.is_lost or last_stream_id < STREAM_ID

    def on_window(self, stream_id: int, count: int) -> None:
        pass

    def on_ignored(self, stream_id: int) -> None:
        pass

    def on_stream_error(self, stream_id: int, code: ErrorCode) -> None:
        self.is_lost = True


async def speaks(host: str, port: int, timeout_s: float) -> bool:
    """Tell whether `host:port` answers HTTP/2's preface with SETTINGS; raises OSError when it accepts no connection."""
    try:
        async with asyncio.timeout(timeout_s):
            return (await _call(host, port, b"", b"")).has_settings
    except (TimeoutError, ValueError):
        return False


async def get(
    host: str, port: int, path: str, headers: Sequence[tuple[str, str]], timeout_s: float
) -> tuple[int, bytes]:
    """Return (status, first bytes of the body) of a GET.

    Raises OSError or TimeoutError when nobody answers, ValueError when the answer is not HTTP/2.
    """
    lines = [(name.lower().encode(), value.encode()) for name, value in headers]
    block = _block(b"GET", path, lines)
    async with asyncio.timeout(timeout_s):
        call = await _call(host, port, block, b"")
    status = call.headers.get(b":status", b"")
    if not status.isdigit():
        raise ValueError("no HTTP/2 answer")
    return int(status), call.body


async def is_serving(host: str, port: int, service: str, user_agent: str, timeout_s: float) -> bool:
    """Ask gRPC's health service about `service` (empty: the whole server). Raises as `get` does.

    https://github.com/grpc/grpc/blob/master/doc/health-checking.md
    """
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""  # HealthCheckRequest.service
    lines = [(b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"user-agent", user_agent.encode())]
    block = _block(b"POST", HEALTH_METHOD, lines)
    async with asyncio.timeout(timeout_s):
        call = await _call(host, port, block, b"\0" + len(message).to_bytes(4, "big") + message)
    return call.headers.get(b"grpc-status") == b"0" and call.body[5:] == SERVING


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _block(method: bytes, path: str, lines: list[tuple[bytes, bytes]]) -> bytes:
    authority = next((value for name, value in lines if name == b"host"), b"127.0.0.1")
    pseudo = [(b":method", method), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", authority)]
    return hpack_encoder.encode([*pseudo, *(line for line in lines if line[0] != b"host")])


async def _call(host: str, port: int, block: bytes, body: bytes) -> _Call:
    """Make a call and return what was answered; without a block return when SETTINGS or an end have come."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        sent = [frames.PREFACE, frames.settings({frames.ENABLE_PUSH: 0})]
        call = _Call(sent)
        if block:
            flags = 0 if body else frames.END_STREAM
            sent.append(frames.headers(STREAM_ID, block, flags, frames.SMALLEST_FRAME_LIMIT))
        if body:
            sent.append(frames.head(len(body), frames.DATA, frames.END_STREAM, STREAM_ID) + body)
        frame_reader = FrameReader(call, expects_preface=False, limit_bytes=frames.SMALLEST_FRAME_LIMIT)
        while not call.is_lost and (block or not call.has_settings):
            writer.write(b"".join(sent))
            sent.clear()
            data = await reader.read(1 << 16)
            if not data:
                break
            frame_reader.feed(data)
        return call
    except ConnectionFailed as error:
        raise ValueError("no HTTP/2 answer") from error
    finally:
        writer.close()
