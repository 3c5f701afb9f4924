"""Services that call each other by the names they have inside the cluster."""

from __future__ import annotations

import pytest

from loadtest import load
from tests.conformance.world import World, service
from tidegate.contracts import names

GREETING = "Hello World! How about some tasty noodles?\n"
BURST = "autoscaling.knative.dev/target-burst-capacity"
LOCAL = {"labels": {names.VISIBILITY_LABEL: names.CLUSTER_LOCAL}}
SUFFIXES = ("", ".svc", ".svc.cluster.local")


async def through_proxy(world: World, env: dict[str, str], annotations: dict[str, str] | None = None) -> load.Reply:
    """Deploy a proxy with `env` and return the answer that it brings from its target."""
    container = {"env": [{"name": key, "value": value} for key, value in env.items()]}
    await world.deploy(service("proxy", "httpproxy", container=container, annotations=annotations or {}))
    host = world.host("proxy")

    async def answered() -> load.Reply | None:
        reply = await world.ask(host)
        return reply if reply.status not in (0, 502, 503) else None  # names come into a pod's hosts file a moment later

    reply: load.Reply = await world.until("the proxy's target answers", answered)
    return reply


@pytest.mark.upstream("e2e", "TestServiceToServiceCall")
@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_a_service_calls_a_cluster_local_one_by_each_of_its_names(world: World, suffix: str) -> None:
    target = await world.deploy(service("hello", metadata=LOCAL))
    assert target["status"]["url"] == f"http://hello.{world.namespace}.svc.cluster.local"
    reply = await through_proxy(world, {"TARGET_HOST": f"hello.{world.namespace}{suffix}"})
    assert (reply.status, reply.body.decode()) == (200, GREETING)
    assert (await world.ask(world.host("hello"))).status == 404


@pytest.mark.upstream("e2e", "TestSvcToSvcViaActivator")
@pytest.mark.parametrize(("target", "proxy"), [("-1", "-1"), ("-1", "0"), ("0", "-1"), ("0", "0")])
async def test_calls_pass_with_the_activator_before_either_or_both(world: World, target: str, proxy: str) -> None:
    await world.deploy(service("hello", metadata=LOCAL, annotations={BURST: target}))
    reply = await through_proxy(world, {"TARGET_HOST": f"hello.{world.namespace}.svc.cluster.local"}, {BURST: proxy})
    assert (reply.status, reply.body.decode()) == (200, GREETING)


@pytest.mark.upstream("e2e", "TestCallToPublicService")
@pytest.mark.parametrize("is_public_name", [False, True], ids=["local name", "public name"])
async def test_a_service_calls_a_public_one_by_its_local_and_by_its_public_name(
    world: World, is_public_name: bool
) -> None:
    await world.deploy(service("hello"))
    env = {"TARGET_HOST": f"hello.{world.namespace}.svc.cluster.local"}
    if is_public_name:
        env = {"TARGET_HOST": world.host("hello"), "GATEWAY_HOST": f"127.0.0.1:{world.instance.port}"}
    reply = await through_proxy(world, env)
    assert (reply.status, reply.body.decode()) == (200, GREETING)
