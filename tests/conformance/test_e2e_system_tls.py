"""TLS inside the cluster: between gateway, activators and pods (`system-internal-tls`), and for names of the cluster
(`cluster-local-domain-tls`), in a cluster of its own."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator

import pytest

from loadtest import load
from loadtest.instance import Instance
from tests.conformance.conftest import open_folder, started
from tests.conformance.test_e2e_in_cluster import GREETING, LOCAL, SUFFIXES
from tests.conformance.world import Prober, World, condition, service
from tidegate.contracts import names
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object

BUFFERED, SERVED = "-1", "0"
"""Burst capacities: every request goes through an activator; none does once pods are ready."""
TLS_PORT, METRICS_PORT = 8112, 9091
SECRET = "serving-certs"


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Instance]:
    """A strict cluster: each component has the rights of its manifests and no others."""
    with open_folder() as folder, started(folder, "--strict") as instance:
        yield instance


@pytest.fixture
async def tls_world(own_world: World) -> AsyncIterator[World]:
    await own_world.instance.configure("config-network", {"system-internal-tls": "Enabled"})
    yield own_world


def asked(name: str, burst: str, **more: object) -> Object:
    annotations = {"autoscaling.knative.dev/target-burst-capacity": burst, "autoscaling.knative.dev/min-scale": "1"}
    return service(name, annotations=annotations, **more)


async def pod_of(world: World, name: str) -> Object:
    revision = (await world.get("Service", name))["status"]["latestReadyRevisionName"]

    async def one() -> Object | None:
        pods = await world.pods(revision)
        return pods[0] if len(pods) == 1 else None

    pod: Object = await world.until("there is one pod", one)
    return pod


async def metric(world: World, pod: Object, port: int, name: str) -> float:
    """Return a metric of a pod, summed over its labels."""
    where = f"{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}:{port}"
    page = (await world.instance.client.raw("GET", f"/api/v1/namespaces/{where}/proxy/metrics")).decode()
    return sum(map(float, re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? ([0-9.e+]+)$", page, re.MULTILINE)))


async def requests_by(world: World, pod: Object) -> tuple[float, float]:
    """Return how many requests a pod has counted, and how many came to it over TLS."""
    counted = await metric(world, pod, METRICS_PORT, "tidegate_queueproxy_requests_total")
    return counted, await metric(world, pod, METRICS_PORT, "tidegate_queueproxy_tls_request_heads_total")


async def activators_requests(world: World) -> tuple[float, float]:
    """Return how many heads the activators have read, and how many of them over TLS."""
    label = "app.kubernetes.io/component=activator"
    pods = (await world.instance.client.list(resources.PODS, names.SYSTEM_NAMESPACE, label)).items
    return tuple(
        [
            sum([await metric(world, pod, names.METRICS_PORT, f"tidegate_activator_{name}_total") for pod in pods])
            for name in ("request_heads", "tls_request_heads")
        ]
    )


@pytest.mark.upstream("packages", "TestSystemInternalTLS")
@pytest.mark.parametrize("burst", [BUFFERED, SERVED], ids=["through activators", "serve mode"])
async def test_requests_reach_pods_by_tls_alone(tls_world: World, burst: str) -> None:
    await tls_world.deploy(asked("hello", burst))
    host = tls_world.host("hello")
    await tls_world.serves(host, "noodles")
    pod = await pod_of(tls_world, "hello")
    before, heads = await requests_by(tls_world, pod), await activators_requests(tls_world)
    for _ in range(20):
        assert (await tls_world.ask(host)).status == 200
    after, later = await requests_by(tls_world, pod), await activators_requests(tls_world)
    assert (after[0] - before[0], after[1] - before[1]) == (20, 20)
    if burst == BUFFERED:
        assert later[1] - heads[1] == 20
    shown = await certificate_of(tls_world, pod)
    assert shown == (f"kn-user-{tls_world.namespace}", "data-plane.knative.dev")


@pytest.mark.upstream("packages", "TestSystemInternalTLS")
async def test_the_setting_is_switched_while_requests_come(own_world: World) -> None:
    await own_world.instance.configure("config-network", {"system-internal-tls": "Disabled"})
    await own_world.deploy(asked("hello", BUFFERED))
    host = own_world.host("hello")
    await own_world.serves(host, "noodles")
    async with Prober(own_world, host):
        for state, has_tls in (("Enabled", True), ("Disabled", False)):
            await own_world.instance.configure("config-network", {"system-internal-tls": state})

            async def is_rolled(wanted: bool = has_tls) -> bool:
                pods = await own_world.pods("hello-00001")
                ports = [port["containerPort"] for pod in pods for port in pod["spec"]["containers"][-1]["ports"]]
                return len(pods) == 1 and (TLS_PORT in ports) is wanted

            await own_world.until(f"pods are replaced: {state}", is_rolled)


@pytest.mark.upstream("packages", "TestTLSCertificateRotation")
async def test_a_new_certificate_is_shown_and_no_request_is_lost(tls_world: World) -> None:
    await tls_world.deploy(asked("hello", BUFFERED))
    host = tls_world.host("hello")
    await tls_world.serves(host, "noodles")
    pod = await pod_of(tls_world, "hello")
    first = await serial_of(tls_world, pod)
    async with Prober(tls_world, host):
        await tls_world.delete("Secret", SECRET)

        async def is_new() -> bool:
            return await serial_of(tls_world, pod) != first

        await tls_world.until("the pod shows a new certificate", is_new, 120)  # nodes look at Secrets once a minute
    assert (await pod_of(tls_world, "hello"))["metadata"]["uid"] == pod["metadata"]["uid"]


@pytest.mark.upstream("packages", "TestGracefulShutdownWithTLS")
@pytest.mark.parametrize("burst", [BUFFERED, SERVED], ids=["through activators", "serve mode"])
async def test_requests_in_flight_end_when_their_pod_is_deleted(tls_world: World, burst: str) -> None:
    await tls_world.deploy(asked("slow", burst, app="timeout"))
    host = tls_world.host("slow")
    assert (await tls_world.ask(host)).status == 200
    pod = await pod_of(tls_world, "slow")
    slow = [asyncio.ensure_future(tls_world.ask(host, "/?initialTimeout=4000")) for _ in range(3)]

    async def are_there() -> bool:
        return await metric(tls_world, pod, METRICS_PORT, "tidegate_queueproxy_requests_in_flight") == len(slow)

    await tls_world.until("the requests are in flight", are_there, 5)
    await tls_world.instance.client.delete(resources.PODS, pod["metadata"]["name"], tls_world.namespace)
    replies: list[load.Reply] = await asyncio.gather(*slow)
    assert [reply.status for reply in replies] == [200] * 3

    async def is_gone() -> bool:
        try:
            await tls_world.instance.client.get(resources.PODS, pod["metadata"]["name"], tls_world.namespace)
        except ApiError as error:
            return error.is_not_found
        return False

    await tls_world.until("the pod is gone", is_gone)


async def certificate_of(world: World, pod: Object) -> tuple[str, ...]:
    """Return the names that the certificate of a pod is for, checked against what is trusted."""
    shown = await asyncio.to_thread(_shown, pod["status"]["podIP"], await trusted(world), world.namespace)
    return tuple(value for kind, value in shown["subjectAltName"] if kind == "DNS")


async def serial_of(world: World, pod: Object) -> str:
    shown = await asyncio.to_thread(_shown, pod["status"]["podIP"], await trusted(world), world.namespace)
    return str(shown["serialNumber"])


async def trusted(world: World) -> str:
    maps = (
        await world.instance.client.list(
            resources.CONFIG_MAPS, names.SYSTEM_NAMESPACE, "networking.knative.dev/trust-bundle=true"
        )
    ).items
    return "\n".join(text for one in maps for text in one["data"].values())


def _shown(address: str, bundle: str, namespace: str) -> dict:
    context = ssl.create_default_context(cadata=bundle)
    with (
        socket.create_connection((address, TLS_PORT), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=f"kn-user-{namespace}") as encrypted,
    ):
        return encrypted.getpeercert() or {}


@pytest.fixture
async def local_tls_world(own_world: World) -> AsyncIterator[World]:
    settings = {"cluster-local-domain-tls": "Enabled", "system-internal-tls": "Disabled"}
    await own_world.instance.configure("config-network", settings)
    yield own_world
    await own_world.instance.configure("config-network", {"cluster-local-domain-tls": "Disabled"})


@pytest.mark.upstream("packages", "TestClusterLocalDomainTLSClusterLocalVisibility")
async def test_a_cluster_local_service_is_called_by_https_with_each_of_its_names(local_tls_world: World) -> None:
    world = local_tls_world
    made = await world.deploy(service("hello", metadata=LOCAL))
    inside = f"https://hello.{world.namespace}.svc.cluster.local"
    assert (made["status"]["url"], made["status"]["address"]["url"]) == (inside, inside)
    for number, suffix in enumerate(SUFFIXES):
        reply = await by_https(world, f"proxy-{number}", f"hello.{world.namespace}{suffix}")
        assert (reply.status, reply.body.decode()) == (200, GREETING)


@pytest.mark.upstream("packages", "TestClusterLocalDomainTLSClusterExternalVisibility")
async def test_a_public_service_is_called_by_https_inside_and_as_before_outside(local_tls_world: World) -> None:
    world = local_tls_world
    tagged = [{"latestRevision": True, "percent": 100, "tag": "blue"}]
    made = await world.deploy(service("hello", traffic=tagged))
    assert made["status"]["url"] == f"http://{world.host('hello')}"
    assert made["status"]["address"]["url"] == f"https://hello.{world.namespace}.svc.cluster.local"
    await world.serves(world.host("hello"), "noodles")
    for name in ("hello", "blue-hello"):
        reply = await by_https(world, f"proxy-{name}", f"{name}.{world.namespace}.svc.cluster.local")
        assert (reply.status, reply.body.decode()) == (200, GREETING)
    route = await world.get("Route", "hello")
    assert condition(route, "CertificateProvisioned")["status"] == "True"


async def by_https(world: World, name: str, target: str) -> load.Reply:
    """Deploy a proxy that calls `target` by https, trusting what the cluster does; return what it was answered."""
    env = [{"name": "TARGET_HOST", "value": target}, {"name": "CA_CERT", "value": await trusted(world)}]
    await world.deploy(service(name, "httpproxy", container={"env": env}))

    async def answered() -> load.Reply | None:
        reply = await world.ask(world.host(name))
        return reply if reply.status not in (0, 404, 502, 503) else None

    reply: load.Reply = await world.until("the proxy's target answers", answered)
    return reply
