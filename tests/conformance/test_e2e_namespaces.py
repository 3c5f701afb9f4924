"""The same name in two namespaces, and a name that somebody else has already."""

from __future__ import annotations

import pytest

from tests.conformance.world import World, condition, service
from tidegate.kube import resources


@pytest.mark.upstream("e2e", "TestMultipleNamespace")
async def test_the_same_name_in_two_namespaces_is_two_services(world: World) -> None:
    other = World(world.instance)
    await other.enter()
    try:
        for one, text in ((world, "first"), (other, "second")):
            env = [{"name": "TARGET", "value": text}]
            await one.create(service("hello", container={"env": env}))
        for one, text in ((world, "first"), (other, "second")):
            made = await one.ready("Service", "hello")
            assert made["status"]["url"] == f"http://{one.host('hello')}"
            await one.serves(one.host("hello"), text)
        assert set(await world.spread(world.host("hello"), 20)) == {"first"}
    finally:
        await other.leave()


@pytest.mark.upstream("e2e", "TestConflictingRouteService")
async def test_a_kubernetes_service_of_somebody_else_keeps_its_name(world: World) -> None:
    spec = {"type": "ExternalName", "externalName": "example.com", "ports": [{"port": 80}]}
    await world.instance.client.create(
        resources.SERVICES, {"metadata": {"name": "hello"}, "spec": spec}, world.namespace
    )
    await world.create(service("hello"))
    ready = await world.failed("Route", "hello")
    assert ready["reason"] == "NotOwned"
    assert "hello" in ready["message"]
    await world.failed("Service", "hello")
    kept = await world.instance.client.get(resources.SERVICES, "hello", world.namespace)
    assert kept["spec"]["externalName"] == "example.com"
    assert "ownerReferences" not in kept["metadata"]
    await world.instance.client.delete(resources.SERVICES, "hello", world.namespace)
    assert condition(await world.ready("Service", "hello"), "RoutesReady")["status"] == "True"
    await world.serves(world.host("hello"), "noodles")
