"""A small load generator on plain sockets, for machines without `hey`, and for what hey does not tell.

Every run is bounded in requests or seconds and in connections, and speaks to loopback only.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter
from dataclasses import dataclass, field

TIMEOUT_S = 60.0
MAX_CONNECTIONS = 1000


@dataclass(frozen=True)
class Reply:
    """One answer: status (0 when the connection broke), headers by lower-case name, body, seconds to first byte."""

    status: int
    headers: dict[str, str]
    body: bytes
    first_byte_s: float


@dataclass
class Run:
    """What a load run saw: answers by status, and each request's seconds from its first to its last byte."""

    statuses: Counter[int] = field(default_factory=Counter)
    durations_s: list[float] = field(default_factory=list)
    bodies: Counter[bytes] = field(default_factory=Counter)

    @property
    def lost(self) -> int:
        """Requests that did not get a 2xx answer."""
        return sum(count for status, count in self.statuses.items() if not 200 <= status < 300)


class Connection:
    """One keep-alive HTTP/1.1 connection."""

    def __init__(self, host: str, port: int) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"{host} is not a loopback address: this load generator goes nowhere else")
        self._where = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, host_header: str, target: str = "/", *, method: str = "GET", body: bytes = b"") -> Reply:
        """Send one request and return its answer; a broken connection gives status 0 and is opened anew next time."""
        begin = time.perf_counter()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._exchange(host_header, target, method, body, begin)
        except (OSError, EOFError, TimeoutError, ValueError):
            await self.close()
            return Reply(0, {}, b"", time.perf_counter() - begin)

    async def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                pass

    async def _exchange(self, host: str, target: str, method: str, body: bytes, begin: float) -> Reply:
        if self._streams is not None and self._streams[0].at_eof():
            await self.close()  # the server ended it while nothing was asked
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._where)
        reader, writer = self._streams
        length = f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n" if body else ""
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{length}\r\n".encode() + body)
        first = await reader.readexactly(1)
        first_byte_s = time.perf_counter() - begin
        head = first + await reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        answer = await _body(reader, headers)
        if headers.get("connection", "").lower() == "close":
            await self.close()
        return Reply(int(status_line.split(" ")[1]), headers, answer, first_byte_s)


async def get(port: int, host_header: str, target: str = "/", *, method: str = "GET", body: bytes = b"") -> Reply:
    """Send one request on a connection of its own to 127.0.0.1:`port`."""
    connection = Connection("127.0.0.1", port)
    try:
        return await connection.request(host_header, target, method=method, body=body)
    finally:
        await connection.close()


async def burst(port: int, host_header: str, target: str = "/", *, requests: int = 50) -> list[Reply]:
    """Send `requests` at once, each on its own connection, and return all answers."""
    if requests > MAX_CONNECTIONS:
        raise ValueError(f"{requests} connections: at most {MAX_CONNECTIONS}")
    return await asyncio.gather(*(get(port, host_header, target) for _ in range(requests)))


async def steady(port: int, host_header: str, target: str, *, connections: int, seconds: float) -> Run:
    """Keep `connections` busy one request after another for `seconds`."""
    run = Run()
    deadline = time.perf_counter() + seconds

    async def worker() -> None:
        connection = Connection("127.0.0.1", port)
        while (begin := time.perf_counter()) < deadline:
            reply = await connection.request(host_header, target)
            run.statuses[reply.status] += 1
            run.bodies[reply.body] += 1
            run.durations_s.append(time.perf_counter() - begin)
            if not reply.status:
                await asyncio.sleep(0.05)  # a refused connection must not become a busy loop
        await connection.close()

    await asyncio.gather(*(worker() for _ in range(min(connections, MAX_CONNECTIONS))))
    return run


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        parts = []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
        return b"".join(parts)
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return b""
