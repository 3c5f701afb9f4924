"""What the program `runtime` tells about the place that it runs in, asked through a Service of its own."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.conformance.world import World, service

NAME = "runtime"


async def of(
    world: World,
    container: dict[str, Any] | None = None,
    *,
    files: tuple[str, ...] = (),
    contents: tuple[str, ...] = (),
    headers: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Deploy the program with changes of its container and of the revision's spec, and return what it tells."""
    await world.deploy(service(NAME, NAME, container=container or {}, spec=spec or {}))
    async with httpx.AsyncClient(timeout=30.0) as client:
        reply = await client.get(
            f"http://127.0.0.1:{world.instance.port}/",
            params={"file": list(files), "content": list(contents)},
            headers={"host": world.host(NAME)} | (headers or {}),
        )
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = json.loads(reply.text)
    return found
