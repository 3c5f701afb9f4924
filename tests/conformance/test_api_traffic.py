"""Traffic: split by percent, reached by tag, held on a revision or following the latest one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.world import World, image, service
from tidegate.kube.api import Object

V1, V2 = "What a spaceport!", "Re-energize yourself with a slice of pepperoni!"
V3, V4 = "the third", "the fourth"
LEAST_SHARE = 0.25
"""A 50/50 split of 200 requests: each side gets at least so much, which chance alone would miss once in 10^13 runs."""


def _hello(text: str) -> Object:
    return {"image": image("helloworld"), "env": [{"name": "TARGET", "value": text}]}


async def _roll(world: World, container: Object, traffic: list[Object] | None = None) -> str:
    """Change the template, and the traffic with it; return the new revision once the Service is Ready."""
    before = (await world.get("Service", "split"))["status"]["latestCreatedRevisionName"]
    change: Object = {"spec": {"template": {"spec": {"containers": [container]}}}}
    if traffic is not None:
        change["spec"]["traffic"] = traffic
    await world.patch("Service", "split", change)
    found = await world.ready("Service", "split")
    name = str(found["status"]["latestReadyRevisionName"])
    assert name == found["status"]["latestCreatedRevisionName"] != before
    return name


async def _traffic(world: World, traffic: list[Object]) -> None:
    await world.patch("Service", "split", {"spec": {"traffic": traffic}})
    await world.ready("Service", "split")


async def _status(world: World, *rows: tuple[str, int, str, bool]) -> None:
    """Compare status.traffic with (tag, percent, revision, latest) and look at the addresses of tags."""
    found = (await world.get("Service", "split"))["status"]["traffic"]
    shown = [
        (one.get("tag", ""), one.get("percent") or 0, one["revisionName"], one.get("latestRevision", False))
        for one in found
    ]
    assert shown == list(rows)
    for one in found:
        assert ("url" in one) == bool(one.get("tag"))
        if tag := one.get("tag"):
            assert one["url"].startswith(f"http://{world.host('split', tag)}")


async def _says(world: World, texts: dict[str, str]) -> None:
    """Each tag (the empty one is the Service itself) serves its text, and nothing else in twenty requests."""
    for tag, text in texts.items():
        host = world.host("split", tag)
        await world.serves(host, text)
        assert dict(await world.spread(host, 20)) == {text: 20}


async def _halves(world: World, host: str, *texts: str) -> None:
    for text in texts:
        await world.serves(host, text)
    counts = await world.spread(host, 200)
    assert set(counts) == set(texts)
    assert min(counts.values()) >= LEAST_SHARE * 200, counts


@pytest.mark.upstream("api", "TestServiceWithTrafficSplit")
async def test_traffic_is_held_split_and_follows_the_latest_stage_by_stage(world: World) -> None:
    await world.deploy(service("split", "pizzaplanetv1"))
    first = (await world.get("Service", "split"))["status"]["latestReadyRevisionName"]
    current: Object = {"tag": "current", "revisionName": first, "percent": 100}
    latest: Object = {"tag": "latest", "latestRevision": True, "percent": 0}

    # Held on the first revision; `latest` is only a tag.
    await _traffic(world, [current, latest])
    await _status(world, ("current", 100, first, False), ("latest", 0, first, True))
    await _says(world, {"": V1, "current": V1, "latest": V1})

    # A new image moves the tag and nothing else.
    second = await _roll(world, {"image": image("pizzaplanetv2")})
    await _status(world, ("current", 100, first, False), ("latest", 0, second, True))
    await _says(world, {"latest": V2, "": V1, "current": V1})

    # Half to each.
    candidate: Object = {"tag": "candidate", "revisionName": second, "percent": 50}
    halved: list[Any] = [current | {"percent": 50}, candidate, latest]
    await _traffic(world, halved)
    rows = ("current", 50, first, False), ("candidate", 50, second, False)
    await _status(world, *rows, ("latest", 0, second, True))
    await _halves(world, world.host("split"), V1, V2)
    await _says(world, {"current": V1, "candidate": V2, "latest": V2})

    # Again only the tag moves.
    third = await _roll(world, _hello(V3))
    await _status(world, *rows, ("latest", 0, third, True))
    await _says(world, {"latest": V3, "current": V1, "candidate": V2})
    await _halves(world, world.host("split"), V1, V2)

    # Half to the first, half to whatever is the latest.
    await _traffic(world, [current | {"percent": 50}, latest | {"percent": 50}])
    fourth = await _roll(world, _hello(V4))
    await _status(world, ("current", 50, first, False), ("latest", 50, fourth, True))
    await _says(world, {"latest": V4, "current": V1})
    await _halves(world, world.host("split"), V1, V4)


@pytest.mark.upstream("api", "TestBlueGreenRoute")
async def test_blue_and_green_share_the_host_and_have_one_each(world: World) -> None:
    await world.deploy(service("split", "pizzaplanetv1"))
    blue = (await world.get("Service", "split"))["status"]["latestReadyRevisionName"]
    green = await _roll(world, {"image": image("pizzaplanetv2")})
    halves = [
        {"tag": "blue", "revisionName": blue, "percent": 50},
        {"tag": "green", "revisionName": green, "percent": 50},
    ]
    await _traffic(world, halves)
    await _halves(world, world.host("split"), V1, V2)
    await _says(world, {"blue": V1, "green": V2})
