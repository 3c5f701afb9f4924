"""One request over HTTP/2 in clear text to see whether somebody is there: gRPC's health check, and GET.

As small as `probe`, which does the same by HTTP/1.1: one connection per call, a bounded answer, no redirects. It
decides nothing about readiness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error

from tidegate.wire.probe import ANSWER_LIMIT_BYTES

HEALTH_PATH = "/grpc.health.v1.Health/Check"
SERVING = 1
_STREAM = 1
_READ_BYTES = 65536
Fields = list[tuple[str, str]]


class _Answer:
    """What came of the one stream: headers and trailers by name, the first bytes of the body."""

    def __init__(self) -> None:
        self.fields: dict[bytes, bytes] = {}
        self.body = b""
        self.is_done = False

    def take(self, event: Event) -> None:
        if isinstance(event, ResponseReceived | TrailersReceived):
            self.fields |= {bytes(name): bytes(value) for name, value in event.headers or ()}
        elif isinstance(event, DataReceived):
            self.body = (self.body + (event.data or b""))[:ANSWER_LIMIT_BYTES]
        elif isinstance(event, StreamEnded):
            self.is_done = True
        elif isinstance(event, StreamReset | ConnectionTerminated):
            raise ValueError("the far end ended the request")


async def is_serving(host: str, port: int, service: str, user_agent: str, timeout_s: float) -> bool:
    """Call `grpc.health.v1.Health/Check`; True when it says SERVING.

    `service`: empty asks for the whole server. Raises OSError or TimeoutError when nobody answers, ValueError when the
    answer is not HTTP/2.
    """
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", HEALTH_PATH),
        (":authority", f"{host}:{port}"),
        ("content-type", "application/grpc"),
        ("user-agent", user_agent),
        ("te", "trailers"),
    ]
    answer = await _ask(host, port, fields, b"\0" + len(message).to_bytes(4, "big") + message, timeout_s)
    return answer.fields.get(b"grpc-status") == b"0" and _status_of(answer.body[5:]) == SERVING


async def get(
    host: str, port: int, path: str, headers: Sequence[tuple[str, str]], timeout_s: float
) -> tuple[int, bytes]:
    """Return (status, first bytes of the body) of a GET by HTTP/2; raises as `is_serving` does."""
    named = {name.lower(): value for name, value in headers}
    authority = named.pop("host", f"{host}:{port}")
    fields = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", authority), *named.items()]
    answer = await _ask(host, port, fields, b"", timeout_s)
    status = answer.fields.get(b":status", b"")
    if not status.isdigit():
        raise ValueError("no HTTP answer")
    return int(status), answer.body


async def _ask(host: str, port: int, fields: Fields, body: bytes, timeout_s: float) -> _Answer:
    connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    connection.initiate_connection()
    connection.send_headers(_STREAM, fields, end_stream=not body)
    if body:
        connection.send_data(_STREAM, body, end_stream=True)
    answer = _Answer()
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            while not answer.is_done:
                writer.write(connection.data_to_send())
                data = await reader.read(_READ_BYTES)
                if not data:
                    raise ValueError("no HTTP/2 answer")
                for event in connection.receive_data(data):
                    answer.take(event)
        except H2Error as error:
            raise ValueError(f"no HTTP/2 answer: {error}") from error
        finally:
            writer.close()
    return answer


def _status_of(message: bytes) -> int:
    """Return field 1 of a HealthCheckResponse: 0 (unknown) when it is absent."""
    return message[1] if len(message) >= 2 and message[0] == 0x08 else 0


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
