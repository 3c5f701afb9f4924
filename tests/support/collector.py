"""A receiver of OTLP over HTTP: takes spans as an OpenTelemetry collector does, and remembers them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.support.servers import serving


@contextlib.asynccontextmanager
async def collector(status: int = 200) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of OTLP over HTTP; gives its endpoint and what it got."""
    got: list[dict[str, Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.split(": ") for line in head[1:] if line)
        assert head[0] == "POST /v1/traces HTTP/1.1"
        assert fields["Content-Type"] == "application/json"
        got.append(json.loads(await reader.readexactly(int(fields["Content-Length"]))))
        writer.write(b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % status)
        await writer.drain()
        writer.close()

    async with serving(serve) as port:
        yield f"http://127.0.0.1:{port}", got


def spans_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the spans of one document, attributes as a plain table, each with its resource's `service`."""
    [resource] = document["resourceSpans"]
    service = _table(resource["resource"]["attributes"])["service.name"]
    [scope] = resource["scopeSpans"]
    return [span | {"attributes": _table(span["attributes"]), "service": service} for span in scope["spans"]]


def _table(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {entry["key"]: next(iter(entry["value"].values())) for entry in attributes}
