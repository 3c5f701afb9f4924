"""A client that counts what each connection gets: `python -m bench.fairness PORT CONNECTIONS SECONDS HEADERS`.

Closed loop: every connection has one request under way. Prints one JSON object. `least_share` is what the connection
served least got, over what each would get if all got the same.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, cast

from bench.backend import SMALL
from tidegate.wire import loop


class Asker(asyncio.Protocol):
    """One connection with one request under way."""

    def __init__(self, request: bytes) -> None:
        self.count = 0
        self.request = request
        self.transport: asyncio.Transport
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Count an answer and ask again."""
        if self._tail:
            data = self._tail + data
        if data.endswith(SMALL):
            self._tail = b""
            self.count += 1
            self.transport.write(self.request)
        else:
            self._tail = data


async def measure(port: int, connections: int, seconds: float, headers: dict[str, str]) -> dict[str, Any]:
    """Ask on all connections for `seconds` and return what they got."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if "Host" not in headers:
        lines += "Host: localhost\r\n"
    request = f"GET / HTTP/1.1\r\n{lines}\r\n".encode()
    running = asyncio.get_running_loop()
    askers = [Asker(request) for _ in range(connections)]
    for asker in askers:
        await running.create_connection(lambda one=asker: one, "127.0.0.1", port)  # type: ignore[misc]
    began = time.monotonic()
    for asker in askers:
        asker.transport.write(request)
    await asyncio.sleep(seconds)
    counts = sorted(asker.count for asker in askers)
    wall_s = time.monotonic() - began
    for asker in askers:
        asker.transport.abort()
    total = sum(counts)
    return {
        "requests": total,
        "rps": total / wall_s,
        "p50_ms": 0.0,
        "p99_ms": 0.0,
        "errors": 0,
        "least_share": counts[0] * connections / total if total else 0.0,
        "most_share": counts[-1] * connections / total if total else 0.0,
    }


if __name__ == "__main__":
    answer = loop.run(measure(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), json.loads(sys.argv[4])))
    print(json.dumps(answer))
