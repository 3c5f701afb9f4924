"""A client that sends WebSocket messages and waits for each one's echo.

`python -m bench.websocket_client PORT CONNECTIONS SECONDS HEADERS`. Closed loop: every connection has one message under
way. Messages are framed here (RFC 6455 section 5.2, masked with zeros, which changes no byte). Prints one JSON object;
a request is one message there and its echo back.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from tidegate.wire import loop

PAYLOAD = b"x" * 64
MESSAGE = bytes([0x82, 0x80 | len(PAYLOAD)]) + bytes(4) + PAYLOAD
"""As a client frames it: final, binary, masked."""
ECHO = bytes([0x82, len(PAYLOAD)]) + PAYLOAD
"""As a server frames it."""
PATH = "/websocket"
OPENING_LIMIT_S = 10.0


class Talker(asyncio.Protocol):
    """One connection with one message under way."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._rest = b""
        self._sent_at = 0.0
        self.transport: asyncio.Transport
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_talking = False
        self.latencies_s: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        """Take the 101, then echoes."""
        data = self._rest + data
        if not self.opened.done():
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(RuntimeError(f"no upgrade: {head[:200]!r}"))
                return
            self.opened.set_result(None)
        self._rest = data
        if data == ECHO and self.is_talking:
            self._rest = b""
            self.latencies_s.append(time.perf_counter() - self._sent_at)
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits for the upgrade."""
        if not self.opened.done():
            self.opened.set_exception(RuntimeError("the connection was closed before the upgrade"))

    def send(self) -> None:
        """Send a message."""
        self.is_talking = True
        self._sent_at = time.perf_counter()
        self.transport.write(MESSAGE)


def opening(headers: dict[str, str]) -> bytes:
    """Return the head that asks for a WebSocket."""
    lines = {"Host": "localhost"} | headers
    lines |= {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    lines |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET {PATH} HTTP/1.1\r\n{text}\r\n".encode()


async def measure(
    port: int,
    connections: int,
    seconds: float,
    headers: dict[str, str],
    last: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> dict[str, Any]:
    """Talk on all connections for `seconds`; return messages echoed, their rate and latencies. Raises RuntimeError.

    `last` waits for so many seconds.
    """
    running = asyncio.get_running_loop()
    talkers = [Talker(opening(headers)) for _ in range(connections)]
    for talker in talkers:
        await running.create_connection(lambda one=talker: one, "127.0.0.1", port)  # type: ignore[misc]
    async with asyncio.timeout(OPENING_LIMIT_S):
        await asyncio.gather(*[talker.opened for talker in talkers])
    began = time.monotonic()
    for talker in talkers:
        talker.send()
    await last(seconds)
    wall_s = time.monotonic() - began
    for talker in talkers:
        talker.is_talking = False
        talker.transport.abort()
    return summary([talker.latencies_s for talker in talkers], wall_s)


def summary(latencies_s: list[list[float]], wall_s: float) -> dict[str, Any]:
    """Return what the rounds record; a connection that was never answered is an error."""
    ordered = sorted(latency_s for one in latencies_s for latency_s in one)
    if not ordered:
        raise RuntimeError("no message was echoed")
    return {
        "requests": len(ordered),
        "rps": len(ordered) / wall_s,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
        "errors": sum(not one for one in latencies_s),
    }


if __name__ == "__main__":
    result = loop.run(measure(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), json.loads(sys.argv[4])))
    print(json.dumps(result))
