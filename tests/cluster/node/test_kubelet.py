"""The log endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from cluster.node.kubelet import Kubelet
from tests.cluster.node.conftest import World, pod

TOKEN = {"Authorization": "Bearer s3cret"}


@pytest.fixture
async def base(world: World) -> AsyncIterator[str]:
    kubelet = Kubelet(world.agent, "s3cret")
    port = await kubelet.start(0)
    yield f"http://127.0.0.1:{port}"
    await kubelet.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=TOKEN) as session:
        yield session


async def get(http: aiohttp.ClientSession, url: str, **headers: str) -> tuple[int, str]:
    async with asyncio.timeout(30), http.get(url, headers=headers) as response:
        return response.status, await response.text()


async def test_health_needs_no_token_logs_do(world: World, base: str, http: aiohttp.ClientSession) -> None:
    assert await get(http, f"{base}/healthz", Authorization="") == (200, "ok\n")
    for wrong in ("", "Bearer nope", "Basic s3cret", "Bearer "):
        assert (await get(http, f"{base}/containerLogs/default/p/c", Authorization=wrong))[0] == 401


async def test_an_empty_token_refuses_all(world: World, http: aiohttp.ClientSession) -> None:
    kubelet = Kubelet(world.agent, "")
    port = await kubelet.start(0)
    assert (await get(http, f"http://127.0.0.1:{port}/containerLogs/d/p/c", Authorization="Bearer "))[0] == 401
    await kubelet.stop()


async def test_logs_of_a_running_and_of_the_previous_run(world: World, base: str, http: aiohttp.ClientSession) -> None:
    await world.run(pod("sh", "-c", "echo a; echo b; test -e again && sleep 60; touch again; exit 1"))
    await world.until(lambda: world.container().get("restartCount") == 1 and world.output(run=1) == ["a", "b"])
    url = f"{base}/containerLogs/default/p/c"
    assert await get(http, url) == (200, "a\nb\n")
    assert await get(http, f"{url}?tailLines=1") == (200, "b\n")
    assert await get(http, f"{url}?limitBytes=1") == (200, "a")
    assert await get(http, f"{url}?previous=true") == (200, "a\nb\n")
    assert (await get(http, f"{url}?timestamps=true"))[1].startswith("20")
    assert (await get(http, f"{url}?sinceSeconds=1000"))[1] == "a\nb\n"
    assert (await get(http, f"{url}?tailLines=x"))[0] == 400


async def test_what_is_not_there(world: World, base: str, http: aiohttp.ClientSession) -> None:
    await world.run(pod(container={"image": "unknown"}))
    await world.until(lambda: world.waiting().get("reason") in ("ErrImagePull", "ImagePullBackOff"))
    assert (await get(http, f"{base}/containerLogs/default/none/c"))[0] == 404
    assert (await get(http, f"{base}/containerLogs/default/p/none"))[0] == 404
    status, text = await get(http, f"{base}/containerLogs/default/p/c")
    assert status == 400
    assert "is waiting to start" in text
    assert (await get(http, f"{base}/containerLogs/default/p/c?previous=true"))[0] == 400


async def test_follow_until_the_container_ends(world: World, base: str, http: aiohttp.ClientSession) -> None:
    script = "echo 1; while ! test -e go; do sleep 0.01; done; echo 2; echo 3"
    await world.run(pod("sh", "-c", script, restartPolicy="Never", container={"workingDir": str(world.folder)}))
    await world.until(lambda: world.output() == ["1"])
    async with asyncio.timeout(30), http.get(f"{base}/containerLogs/default/p/c?follow=true") as response:
        assert await response.content.readline() == b"1\n"
        (world.folder / "go").touch()
        assert await response.content.read() == b"2\n3\n"
    assert await get(http, f"{base}/containerLogs/default/p/c?follow=true") == (200, "1\n2\n3\n")
