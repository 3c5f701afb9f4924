"""Passes a request on to the model server beside it, and its answer back; a stream stays a stream.

What ends at a hop (RFC 9110, 7.6.1) stays here. Of a header that repeats in a request the last counts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from runtimes.failures import InferenceError, Kind
from runtimes.http.messages import Reply, Request

CONNECTIONS = 1000
PIECE_BYTES = 1 << 16
_SAFE = "/:@!$&'()*+,;=~-._"
_OF_A_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
_OURS = frozenset({*_OF_A_HOP, "content-length", "content-type"})


class Proxy:
    """The connections to one server on 127.0.0.1."""

    def __init__(self, port: int, timeout_s: float, limit_bytes: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._limit_bytes = limit_bytes
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=timeout_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            timeout=timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def pass_on(self, request: Request) -> Reply:
        """Return the server's answer; raises NOT_READY where it cannot be reached, LATE, MODEL_FAILED for one that is
        too large."""
        path = quote(request.path, safe=_SAFE)
        url = URL(self._url + path + (f"?{request.query}" if request.query else ""), encoded=True)
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in request.headers.items()
            if name.decode("latin-1") not in _OF_A_HOP and name != b"content-length"
        }
        method = request.method.decode("latin-1")
        try:
            answer = await self._session.request(
                method, url, data=request.body or None, headers=headers, allow_redirects=False
            )
            return await self._reply(answer, method)
        except TimeoutError as error:
            raise InferenceError(Kind.LATE, "the model server did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise InferenceError(Kind.NOT_READY, f"the model server: {error}") from error

    async def _reply(self, answer: aiohttp.ClientResponse, method: str) -> Reply:
        lines = b"".join(
            b"%b: %b\r\n" % (name, value)
            for name, value in answer.raw_headers
            if name.decode("latin-1").lower() not in _OURS
        )
        content_type = answer.headers.get("Content-Type", "application/octet-stream").encode("latin-1", "replace")
        if method != "HEAD" and content_type.startswith(b"text/event-stream"):
            return Reply(answer.status, b"", content_type, lines, stream=_pieces(answer))
        async with answer:
            body = bytearray()
            async for piece in answer.content.iter_chunked(PIECE_BYTES):
                body += piece
                if len(body) > self._limit_bytes:
                    text = f"the model server answered with more than {self._limit_bytes} bytes"
                    raise InferenceError(Kind.MODEL_FAILED, text)
            return Reply(answer.status, bytes(body), content_type, lines)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _pieces(answer: Any) -> AsyncIterator[bytes]:
    async with answer:
        async for piece in answer.content.iter_any():
            yield piece
