"""The admin port: health, metrics, effective configuration, and a component's own read-only pages.

A deliberately small HTTP/1.1 responder for GET and HEAD on plain asyncio: it must stay alive while the data path
drains, cost next to nothing in every queueproxy, and share no code with what it observes. Requests are bounded in
size and time, one per connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

log = logging.getLogger(__name__)

HEAD_LIMIT_BYTES = 16 << 10
EXCHANGE_TIMEOUT_S = 30.0
_encode_json = msgspec.json.Encoder().encode


class Page(NamedTuple):
    """One answer: HTTP status, body, media type."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Handler = Callable[[str, dict[str, str]], Page | Awaitable[Page]]
"""Called with the path after its prefix and the query; may wait (bounded by `timeout_s` of its registration)."""


def json_page(value: Any, status: int = 200) -> Page:
    """Return `value` as a JSON page."""
    return Page(status, _encode_json(value) + b"\n", "application/json")


class AdminServer:
    """Serves `/healthz`, `/readyz`, `/metrics`, `/config` and the pages added with `page`.

    `is_ready` answers for `/readyz`: True, or a string that says why not. `config` is what `/config` shows.
    """

    def __init__(
        self,
        *,
        is_ready: Callable[[], bool | str] = lambda: True,
        config: dict[str, Any] | None = None,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._handlers: dict[str, tuple[Handler, float]] = {}
        self._servers: list[asyncio.Server] = []
        self.page("/healthz", lambda _path, _query: Page(200, b"ok\n"))
        self.page("/readyz", lambda _path, _query: _readiness(is_ready()))
        self.page("/config", lambda _path, _query: json_page(config or {}))
        self.page(
            "/metrics",
            lambda _path, _query: Page(200, generate_latest(registry), "text/plain; version=0.0.4; charset=utf-8"),
        )

    def page(self, prefix: str, handler: Handler, *, timeout_s: float = EXCHANGE_TIMEOUT_S) -> None:
        """Serve `prefix` and everything below it by `handler`; the longest matching prefix wins."""
        self._handlers[prefix] = (handler, timeout_s)

    async def start(self, host: str, port: int) -> int:
        """Listen; may be called for several addresses. Returns the port bound (of use when `port` is 0)."""
        server = await asyncio.start_server(self._serve, host, port, limit=HEAD_LIMIT_BYTES)
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.close()
            await server.wait_closed()
        self._servers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(EXCHANGE_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
            method, target = _request_line(head)
            page = await self._answer(method, target)
            async with asyncio.timeout(EXCHANGE_TIMEOUT_S):
                writer.write(_render(page, with_body=method != "HEAD"))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError):
            pass  # a broken or slow client of the admin port harms only itself
        finally:
            writer.close()

    async def _answer(self, method: str, target: str) -> Page:
        if method not in ("GET", "HEAD"):
            return Page(405, b"only GET and HEAD\n")
        url = urlsplit(target)
        matching = [prefix for prefix in self._handlers if url.path == prefix or url.path.startswith(prefix + "/")]
        if not matching:
            return Page(404, b"pages: " + ", ".join(sorted(self._handlers)).encode() + b"\n")
        prefix = max(matching, key=len)
        handler, timeout_s = self._handlers[prefix]
        try:
            page = handler(url.path[len(prefix) :].strip("/"), dict(parse_qsl(url.query)))
            if isinstance(page, Page):
                return page
            async with asyncio.timeout(timeout_s):
                return await page
        except TimeoutError:
            return Page(504, b"this page took too long\n")
        except Exception:
            log.exception("admin page %s failed", url.path)
            return Page(500, b"this page failed; the log has the reason\n")


def _readiness(state: bool | str) -> Page:
    if state is True:
        return Page(200, b"ok\n")
    return Page(503, (state if isinstance(state, str) else "not ready").encode() + b"\n")


def _request_line(head: bytes) -> tuple[str, str]:
    method, target, _version = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
    return method, target


def _render(page: Page, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\n"
        f"Content-Type: {page.content_type}\r\nContent-Length: {len(page.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (page.body if with_body else b"")
