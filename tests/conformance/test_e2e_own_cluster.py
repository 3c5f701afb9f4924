"""What needs the whole cluster: its configuration changed, and its components taken away while requests come."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from loadtest import chapters, load
from loadtest.instance import is_leaving, is_ready
from tests.conformance.world import Prober, World, container_of_a_user, image, service
from tidegate.contracts import conditions, names
from tidegate.kube import resources
from tidegate.kube.api import Object

ALWAYS_BUFFERED = {"autoscaling.knative.dev/target-burst-capacity": "-1", "autoscaling.knative.dev/min-scale": "1"}
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
FIRST_REQUESTS = 20
NEVER_RETAINED = {
    "retain-since-create-time": "disabled",
    "retain-since-last-active-time": "disabled",
    "min-non-active-revisions": "0",
    "max-non-active-revisions": "0",
}


async def components(world: World, component: str) -> set[str]:
    """Return the names of a component's ready pods."""
    label = f"app.kubernetes.io/component={component}"
    pods = (await world.instance.client.list(resources.PODS, names.SYSTEM_NAMESPACE, label)).items
    return {pod["metadata"]["name"] for pod in pods if is_ready(pod) and not is_leaving(pod)}


async def scaled(world: World, component: str, replicas: int) -> set[str]:
    """Bring a component to a number of ready pods, with none still leaving, and return their names."""
    change = {"spec": {"replicas": replicas}}
    await world.instance.client.patch(
        resources.DEPLOYMENTS, component, change, names.SYSTEM_NAMESPACE, subresource="scale"
    )

    async def are_ready() -> set[str] | None:
        found = await components(world, component)
        label = f"app.kubernetes.io/component={component}"
        present = (await world.instance.client.list(resources.PODS, names.SYSTEM_NAMESPACE, label)).items
        return found if len(found) == len(present) == replicas else None

    found: set[str] = await world.until(f"{replicas} pods of {component} are ready", are_ready)
    return found


async def replaced(world: World, component: str, gone: str, replicas: int) -> None:
    """Delete a pod of a component and wait until another is ready in its place."""
    await world.instance.client.delete(resources.PODS, gone, names.SYSTEM_NAMESPACE)

    async def is_replaced() -> bool:
        found = await components(world, component)
        return gone not in found and len(found) == replicas

    await world.until(f"{gone} is replaced", is_replaced)


async def addresses(world: World, component: str) -> list[str]:
    """Return the addresses of a component's pods."""
    label = f"app.kubernetes.io/component={component}"
    pods = (await world.instance.client.list(resources.PODS, names.SYSTEM_NAMESPACE, label)).items
    return [str(pod["status"]["podIP"]) for pod in pods]


async def answers(world: World, made: Object, gateways: list[str]) -> set[tuple[str, int]]:
    """Return the statuses of first requests: several at the public port, which the gateways share, and one to the port
    for the cluster of each."""
    name = made["metadata"]["name"]
    seen = {("public", (await world.ask(world.host(name))).status) for _ in range(4)}
    for gateway in gateways:
        connection = load.Connection(gateway, names.GATEWAY_LOCAL_PORT)
        reply = await connection.request(f"{name}.{world.namespace}.svc.cluster.local")
        await connection.close()
        seen.add((gateway, reply.status))
    return seen


async def test_whoever_is_ready_is_known_to_every_gateway(own_world: World) -> None:
    await scaled(own_world, "gateway", 2)
    try:
        gateways = await addresses(own_world, "gateway")
        assert len(gateways) == 2
        client, wanted = own_world.instance.client, {f"hello-{number}" for number in range(FIRST_REQUESTS)}
        since = (await client.list(resources.KNATIVE_SERVICES, own_world.namespace)).resource_version
        making = [asyncio.ensure_future(own_world.create(service(name))) for name in sorted(wanted)]
        seen: set[tuple[str, int]] = set()
        async with asyncio.timeout(120):
            events = client.watch(resources.KNATIVE_SERVICES, own_world.namespace, since=since)
            async for event in events:
                name = event.object["metadata"]["name"]
                if name in wanted and conditions.is_ready(event.object):
                    wanted.discard(name)
                    seen |= await answers(own_world, event.object, gateways)
                if not wanted:
                    break
        await asyncio.gather(*making)
        assert seen == {("public", 200), *((gateway, 200) for gateway in gateways)}
    finally:
        await scaled(own_world, "gateway", 1)


@pytest.mark.upstream("packages", "TestRevisionGC")
async def test_a_replaced_revision_is_deleted_where_nothing_is_retained(own_world: World) -> None:
    await own_world.instance.configure("config-gc", NEVER_RETAINED)
    first = (await own_world.deploy(service("pizza", "pizzaplanetv1")))["status"]["latestReadyRevisionName"]

    async def is_active() -> bool:
        labels = (await own_world.get("Revision", first))["metadata"]["labels"]
        return bool(labels.get("serving.knative.dev/routingState") == "active")

    await own_world.until("the revision is active", is_active)
    await own_world.update_template("pizza", {"image": image("pizzaplanetv2")})
    await own_world.ready("Service", "pizza")
    await own_world.gone("Revision", first)
    await own_world.serves(own_world.host("pizza"), "slice of pepperoni")


@pytest.fixture
async def secure_defaults(own_world: World) -> AsyncIterator[None]:
    """Pods are restricted by default, for one test: images of others run as root, and would not start with that."""
    await own_world.instance.configure("config-features", {"secure-pod-defaults": "Enabled"})
    yield
    await own_world.instance.configure("config-features", {"secure-pod-defaults": "Disabled"})


@pytest.mark.upstream("packages", "TestSecureDefaults")
@pytest.mark.usefixtures("secure_defaults")
async def test_containers_are_restricted_by_default(own_world: World) -> None:
    made = await own_world.deploy(service("hello", container=container_of_a_user("helloworld")))
    revision = await own_world.get("Revision", made["status"]["latestReadyRevisionName"])
    context = revision["spec"]["containers"][0]["securityContext"]
    assert {key: context[key] for key in RESTRICTED} == RESTRICTED
    await own_world.serves(own_world.host("hello"), "noodles")


@pytest.mark.upstream("packages", "TestUnsafePermitted")
@pytest.mark.usefixtures("secure_defaults")
async def test_who_asks_for_more_rights_gets_them(own_world: World) -> None:
    asked = {
        "allowPrivilegeEscalation": True,
        "capabilities": {"drop": []},
        "runAsNonRoot": False,
        "seccompProfile": {"type": "Unconfined"},
    }
    made = await own_world.deploy(service("hello", container={"securityContext": asked}))
    revision = await own_world.get("Revision", made["status"]["latestReadyRevisionName"])
    context = revision["spec"]["containers"][0]["securityContext"]
    assert {key: context.get(key) for key in ("allowPrivilegeEscalation", "runAsNonRoot", "seccompProfile")} == {
        key: asked[key] for key in ("allowPrivilegeEscalation", "runAsNonRoot", "seccompProfile")
    }
    assert not (context.get("capabilities") or {}).get("drop")
    await own_world.serves(own_world.host("hello"), "noodles")


@pytest.mark.upstream("packages", "TestHttpRedirect")
async def test_clear_text_is_sent_to_https(own_world: World) -> None:
    await own_world.instance.configure("config-network", {"external-domain-tls": "enabled"})
    try:
        metadata = {"annotations": {"networking.knative.dev/http-protocol": "redirected"}}
        made = await own_world.deploy(service("hello", metadata=metadata))
        host = own_world.host("hello")
        assert made["status"]["url"] == f"https://{host}"

        async def redirected() -> load.Reply | None:
            reply = await own_world.ask(host, "/path?a=b")
            return reply if reply.status == 301 else None

        reply: load.Reply = await own_world.until("clear text is redirected", redirected)
        assert reply.headers["location"] == f"https://{host}/path?a=b"
    finally:
        await own_world.instance.configure("config-network", {"external-domain-tls": "disabled"})


@pytest.mark.upstream("packages", "TestActivatorHAGraceful")
async def test_no_request_is_lost_when_activators_are_replaced(own_world: World) -> None:
    await own_world.deploy(service("hello", annotations=ALWAYS_BUFFERED))
    await own_world.serves(own_world.host("hello"), "noodles")
    pods = await scaled(own_world, "activator", 2)
    try:
        async with Prober(own_world, own_world.host("hello")):
            for name in sorted(pods):
                await replaced(own_world, "activator", name, 2)
    finally:
        await scaled(own_world, "activator", 1)


@pytest.mark.upstream("packages", "TestActivatorHANonGraceful")
async def test_nine_of_ten_requests_survive_an_activator_that_is_killed(own_world: World) -> None:
    instance = own_world.instance
    await own_world.deploy(service("hello", annotations=ALWAYS_BUFFERED))
    host = own_world.host("hello")
    await own_world.serves(host, "noodles")
    await scaled(own_world, "activator", 2)
    try:
        pid = chapters.pid_of(instance, "activator")
        asking = asyncio.ensure_future(load.steady(instance.port, host, "/", connections=2, seconds=4))
        await asyncio.sleep(0.5)  # requests must be under way
        os.kill(pid, signal.SIGKILL)
        run = await asking
        assert run.statuses[200] >= 0.9 * run.statuses.total() > 0, run.statuses
        await scaled(own_world, "activator", 2)
    finally:
        await scaled(own_world, "activator", 1)


@pytest.mark.upstream("packages", "TestAutoscalerHA", "TestControllerHA")
@pytest.mark.parametrize("component", ["autoscaler", "controller"])
async def test_the_other_takes_over_and_new_services_wake(own_world: World, component: str) -> None:
    annotations = {"autoscaling.knative.dev/initial-scale": "0"}
    pods = await scaled(own_world, component, 2)
    try:
        for number, name in enumerate(sorted(pods)):
            await replaced(own_world, component, name, 2)
            await own_world.deploy(service(f"hello-{number}", annotations=annotations))
            await own_world.serves(own_world.host(f"hello-{number}"), "noodles")
    finally:
        await scaled(own_world, component, 1)
