"""Routes and tags that are seen inside the cluster alone, and how they change sides."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.test_e2e_in_cluster import GREETING, LOCAL, through_proxy
from tests.conformance.world import World, service
from tidegate.contracts import names
from tidegate.kube import resources
from tidegate.kube.api import Object

TAG = "blue"
TAGGED = [{"latestRevision": True, "percent": 100, "tag": TAG}]


def label(value: str | None) -> Object:
    """Return the change that makes something local (`cluster-local`) or public (None)."""
    return {"metadata": {"labels": {names.VISIBILITY_LABEL: value}}}


def inside(world: World, name: str) -> str:
    """Return the name that a route or tag has inside the cluster."""
    return f"{name}.{world.namespace}.svc.cluster.local"


async def label_placeholder(world: World, name: str, value: str | None) -> None:
    """Change the label of the Kubernetes Service that stands for a route or a tag."""
    await world.instance.client.patch(resources.SERVICES, name, label(value), world.namespace)


async def urls(world: World, name: str, main: str, tag: str | None = None) -> None:
    """Wait until a Service has the URL of the host `main`, and its tag that of `tag`."""

    async def check() -> bool:
        status = (await world.ready("Service", name))["status"]
        is_main = status["url"] == f"http://{main}"
        return is_main and (tag is None or [row.get("url") for row in status["traffic"]] == [f"http://{tag}"])

    await world.until(f"{name} has the URLs {main}, {tag}", check)


async def answers(world: World, host: str, status: int) -> None:
    """Wait until a host answers with a status on the public port."""

    async def check() -> bool:
        return (await world.ask(host)).status == status

    await world.until(f"{host} answers {status}", check)


@pytest.mark.upstream("e2e", "TestRouteVisibilityChanges")
@pytest.mark.parametrize("where", ["Service", "Route", "placeholder"])
async def test_a_label_takes_a_route_off_the_public_and_back(world: World, where: str) -> None:
    await world.deploy(service("hello"))
    public = world.host("hello")

    async def change(value: str | None) -> Any:
        if where == "placeholder":
            return await label_placeholder(world, "hello", value)
        return await world.patch(where, "hello", label(value))

    await urls(world, "hello", public)
    await answers(world, public, 200)
    await change(names.CLUSTER_LOCAL)
    await urls(world, "hello", inside(world, "hello"))
    await answers(world, public, 404)
    await change(None)
    await urls(world, "hello", public)
    await answers(world, public, 200)


@pytest.mark.upstream("e2e", "TestSubrouteLocalSTS")
async def test_a_local_tag_is_called_from_inside(world: World) -> None:
    await world.deploy(service("hello", traffic=TAGGED))
    await label_placeholder(world, f"{TAG}-hello", names.CLUSTER_LOCAL)
    await urls(world, "hello", world.host("hello"), inside(world, f"{TAG}-hello"))
    await answers(world, world.host("hello", TAG), 404)
    reply = await through_proxy(world, {"TARGET_HOST": inside(world, f"{TAG}-hello")})
    assert (reply.status, reply.body.decode()) == (200, GREETING)


@pytest.mark.upstream("e2e", "TestSubrouteVisibilityPublicToPrivate")
async def test_a_tag_becomes_local_by_itself_and_then_its_route_too(world: World) -> None:
    await world.deploy(service("hello", traffic=TAGGED))
    main, tag = world.host("hello"), world.host("hello", TAG)
    await urls(world, "hello", main, tag)
    await answers(world, tag, 200)
    await label_placeholder(world, f"{TAG}-hello", names.CLUSTER_LOCAL)
    await urls(world, "hello", main, inside(world, f"{TAG}-hello"))
    await answers(world, tag, 404)
    await answers(world, main, 200)
    await world.patch("Service", "hello", label(names.CLUSTER_LOCAL))
    await urls(world, "hello", inside(world, "hello"), inside(world, f"{TAG}-hello"))
    await answers(world, main, 404)


@pytest.mark.upstream("e2e", "TestSubrouteVisibilityPrivateToPublic")
async def test_a_local_route_becomes_public_and_its_tag_when_it_is_let_go(world: World) -> None:
    await world.deploy(service("hello", traffic=TAGGED, metadata=LOCAL))
    main, tag = world.host("hello"), world.host("hello", TAG)
    await urls(world, "hello", inside(world, "hello"), inside(world, f"{TAG}-hello"))
    await answers(world, main, 404)
    await answers(world, tag, 404)
    await label_placeholder(world, f"{TAG}-hello", names.CLUSTER_LOCAL)
    await world.patch("Service", "hello", label(None))
    await urls(world, "hello", main, inside(world, f"{TAG}-hello"))
    await answers(world, main, 200)
    await answers(world, tag, 404)
    await label_placeholder(world, f"{TAG}-hello", None)
    await urls(world, "hello", main, tag)
    await answers(world, tag, 200)
