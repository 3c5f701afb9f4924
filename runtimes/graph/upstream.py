"""Asks a service over HTTP, within a time and up to a size; what cannot be reached becomes an answer that says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from runtimes.graph.counts import Counts
from runtimes.graph.walk import JSON, Answered, failure
from tidegate.contracts.inference_graph import Step
from tidegate.process import tasks

CONNECTIONS = 1000
SHADOWS, SHADOWS_BYTES = 100, 64 << 20
UNREACHABLE, LATE, TOO_LARGE = 503, 504, 502


class Upstream:
    """The connections of one router."""

    def __init__(self, timeout_s: float, limit_bytes: int, propagated: frozenset[bytes], counts: Counts) -> None:
        """`propagated`: lower-case names of the headers that go from the caller to every step."""
        self._propagated = propagated
        self._shadows: set[asyncio.Task[None]] = set()
        self._shadows_bytes = 0
        self._timeout_s = timeout_s
        self._limit_bytes = limit_bytes
        self._counts = counts
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def ask(self, node: str, step: Step, url: str, body: bytes, headers: Mapping[bytes, bytes]) -> Answered:
        """Return the answer of one step's service."""
        began = time.perf_counter()
        answer = await self._answer(step, url, body, headers)
        self._counts.asked(node, step.name, answer.status, time.perf_counter() - began)
        return answer

    def shadow(self, node: str, step: Step, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        """Send a copy that nobody waits for; what is beyond SHADOWS or SHADOWS_BYTES is dropped, and counted."""
        if len(self._shadows) >= SHADOWS or self._shadows_bytes + len(body) > SHADOWS_BYTES:
            self._counts.dropped(node, step.name)
            return
        task = tasks.spawn(self._unheard(node, step, body, headers), f"shadow {step.name}")
        self._shadows.add(task)
        self._shadows_bytes += len(body)
        task.add_done_callback(lambda ended: self._forget(ended, len(body)))

    def _forget(self, shadow: asyncio.Task[None], size: int) -> None:
        self._shadows.discard(shadow)
        self._shadows_bytes -= size

    async def _unheard(self, node: str, step: Step, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        await self.ask(node, step, step.url, body, headers)

    async def _answer(self, step: Step, url: str, body: bytes, headers: Mapping[bytes, bytes]) -> Answered:
        host, limit_s = urlsplit(url).hostname, step.timeout_s or self._timeout_s
        timeout = aiohttp.ClientTimeout(total=limit_s)
        said = {
            name.decode("latin-1"): value.decode("utf-8", "replace")  # aiohttp writes UTF-8
            for name, value in headers.items()
            if name in self._propagated
        }
        try:
            async with self._session.post(
                url, data=body, headers=said, timeout=timeout, allow_redirects=False
            ) as reply:
                content_type = reply.headers.get("Content-Type", JSON.decode()).encode("latin-1", "replace")
                found = bytearray()
                while len(found) <= self._limit_bytes and (piece := await reply.content.readany()):
                    found += piece
        except TimeoutError:
            return failure(LATE, f"step {step.name}: {host} did not answer within {limit_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a header that must not be sent
            return failure(UNREACHABLE, f"step {step.name}: {host}: {error}")
        if len(found) > self._limit_bytes:
            return failure(TOO_LARGE, f"step {step.name}: {host} answered with more than {self._limit_bytes} bytes")
        return Answered(reply.status, bytes(found), content_type)

    async def close(self) -> None:
        """End the copies that are on their way, and close all connections."""
        await tasks.cancel(*self._shadows)
        await self._session.close()
