"""Domain mappings: a name of one's own serves, and belongs to one namespace at a time."""

from __future__ import annotations

import pytest

from tests.conformance.world import World, condition, service
from tidegate.kube.api import Object


def _mapping(domain: str, target: str) -> Object:
    ref = {"kind": "Service", "apiVersion": "serving.knative.dev/v1", "name": target}
    return {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": domain},
        "spec": {"ref": ref},
    }


@pytest.mark.upstream("api", "TestDomainMapping")
async def test_a_domain_serves_its_target_and_is_one_namespaces_until_it_is_deleted(world: World) -> None:
    domain = f"shop.{world.namespace}.example.com"
    await world.deploy(service("first", "pizzaplanetv1"))
    await world.create(_mapping(domain, "first"))
    found = await world.ready("DomainMapping", domain)
    assert found["status"]["url"] == f"http://{domain}"
    await world.serves(domain, "What a spaceport!")

    other = World(world.instance)
    await other.enter()
    try:
        await other.deploy(service("second", "pizzaplanetv2"))
        await other.create(_mapping(domain, "second"))
        refused = await other.failed("DomainMapping", domain)
        assert condition(await other.get("DomainMapping", domain), "DomainClaimed")["status"] == "False"
        assert refused["reason"] == "DomainAlreadyClaimed"
        await world.serves(domain, "What a spaceport!")

        await world.delete("DomainMapping", domain)
        await world.gone("DomainMapping", domain)
        await other.ready("DomainMapping", domain)
        await other.serves(domain, "Re-energize yourself")
    finally:
        await other.leave()
