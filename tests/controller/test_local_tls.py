"""cluster-local-domain-tls in the controller: certificates of names inside the cluster, and what Routes say of them."""

import dataclasses

import pytest

from controller.reconcile import local_tls
from tests.support.controller_world import NAMESPACE, controller_world, service
from tidegate.contracts import names
from tidegate.contracts.config.network import Domain, Network
from tidegate.kube import resources

pytestmark = pytest.mark.looptime

ROUTE = resources.ROUTES
PUBLIC = (Domain("example.com"),)
TAGGED = [{"latestRevision": True, "percent": 100}, {"latestRevision": True, "percent": 0, "tag": "next"}]


async def switch(world, **values) -> None:
    config = world.worker.world.config
    world.worker.world.config = dataclasses.replace(config, network=Network(**values))
    world.worker.mark_everything()
    await world.settle()


def certificates(world) -> dict[str, list[str]]:
    return {one["metadata"]["name"]: one["spec"]["dnsNames"] for one in world.api.all(resources.CERTIFICATES)}


@pytest.mark.parametrize("domains", [PUBLIC, (Domain("svc.cluster.local"),)], ids=["external", "cluster-local"])
async def test_names_inside_the_cluster_get_certificates_and_are_shown_with_https(domains):
    async with controller_world() as world:
        await switch(world, has_local_tls=True, domains=domains)
        await world.apply(service(traffic=TAGGED))
        await world.make_ready("hello-00001")
        uid = world.get(ROUTE, "hello")["metadata"]["uid"]
        made = certificates(world)
        assert set(made) > {f"route-{uid}-local"}
        assert made[f"route-{uid}-local"] == ["hello.default", "hello.default.svc", "hello.default.svc.cluster.local"]
        assert "next-hello.default.svc.cluster.local" in [host for hosts in made.values() for host in hosts]
        [kind] = {
            one["metadata"]["labels"][names.CERTIFICATE_TYPE_LABEL] for one in world.api.all(resources.CERTIFICATES)
        }
        assert kind == "cluster-local-domain"
        status = world.get(ROUTE, "hello")["status"]
        assert status["address"]["url"] == "https://hello.default.svc.cluster.local"
        is_public = domains is PUBLIC
        assert status["url"] == ("http://hello.default.example.com" if is_public else status["address"]["url"])
        assert world.condition(ROUTE, "hello", "CertificateProvisioned")[0] == "True"
        assert world.condition(ROUTE, "hello") == ("True", "", "")

        await switch(world, domains=domains)
        assert certificates(world) == {}
        assert world.get(ROUTE, "hello")["status"]["address"]["url"] == "http://hello.default.svc.cluster.local"
        assert world.condition(ROUTE, "hello", "CertificateProvisioned")[1] == "TLSNotEnabled"


async def test_a_route_is_ready_once_its_certificate_is():
    async with controller_world() as world:
        # Nobody fulfils this class here.
        await switch(world, has_local_tls=True, certificate_class="others.certificate.example.com")
        await world.apply(service())
        await world.make_ready("hello-00001")
        uid = world.get(ROUTE, "hello")["metadata"]["uid"]
        status, reason, message = world.condition(ROUTE, "hello", "CertificateProvisioned")
        assert (status, reason) == ("Unknown", "CertificateNotReady")
        assert f"route-{uid}-local" in message
        assert world.condition(ROUTE, "hello")[0] == "Unknown"


async def test_a_certificate_of_somebody_else_is_left_alone():
    async with controller_world() as world:
        await world.apply(service())
        await world.make_ready("hello-00001")
        name = f"route-{world.get(ROUTE, 'hello')['metadata']['uid']}-local"
        config = Network(has_local_tls=True)
        route = world.get(ROUTE, "hello")
        foreign = {"metadata": {"name": name, "namespace": NAMESPACE, "uid": "x"}, "spec": {"dnsNames": ["a"]}}
        actions, mark = local_tls.decide(route, config, {""}, [foreign])
        assert actions == ()
        assert mark[:2] == ("False", "CertificateNotOwned")


@pytest.mark.parametrize(
    ("public", "local", "reason"),
    [
        (("True", "TLSNotEnabled", ""), None, "TLSNotEnabled"),
        (("True", "TLSNotEnabled", ""), ("True", "", ""), ""),
        (("True", "HTTPDowngrade", "x"), ("True", "", ""), "HTTPDowngrade"),
        (("Unknown", "CertificateNotReady", "x"), ("True", "", ""), "CertificateNotReady"),
        (("True", "", ""), ("False", "CertificateNotOwned", "x"), "CertificateNotOwned"),
    ],
)
def test_the_condition_tells_of_the_worse_side(public, local, reason):
    assert local_tls.combined(public, local)[1] == reason
