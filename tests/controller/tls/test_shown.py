"""A certificate counts as there once every ready gateway shows it: https URLs and redirects come no sooner.

Whole stories over played gateways.
"""

import dataclasses

import pytest

from controller.programming import WAITING
from controller.tls import authority, pairs
from tests.support.controller_world import NAMESPACE, ControllerWorld, controller_world, service
from tests.support.played_gateways import PlayedGateways
from tidegate.contracts import names
from tidegate.contracts.config.network import Domain, Network
from tidegate.kube import resources

pytestmark = pytest.mark.looptime

RT, DM, CERT = resources.ROUTES, resources.DOMAIN_MAPPINGS, resources.CERTIFICATES
PLAIN = Network(domains=(Domain("example.com"),), creates_domain_claims=True)
TLS = dataclasses.replace(PLAIN, has_external_tls=True)
HOST, DOMAIN = "hello.default.example.com", "www.example.org"
PROTOCOL = names.HTTP_PROTOCOL_ANNOTATION
UNSHOWN = ("Unknown", "CertificateNotShown", WAITING)


@pytest.fixture
async def world():
    async with controller_world(gateways=PlayedGateways) as made:
        made.gateways.set_ready("a", "b")
        yield made


async def deploy(world: ControllerWorld, network: Network, **annotations: str) -> None:
    world.worker.world.config = dataclasses.replace(world.config, network=network)
    document = service()
    document["metadata"]["annotations"] = annotations
    await world.apply(document)
    await world.make_ready("hello-00001")


async def told(world: ControllerWorld, *addresses: str) -> None:
    world.gateways.tell(*addresses)
    await world.settle()


def certificate(world: ControllerWorld) -> str:
    [found] = world.api.all(CERT)
    return found["metadata"]["name"]


def is_redirected(world: ControllerWorld, resource: resources.Resource, name: str) -> bool:
    return PROTOCOL in (world.get(resource, name)["status"].get("annotations") or {})


def url(world: ControllerWorld) -> str:
    return world.get(RT, "hello")["status"]["url"]


async def test_the_url_is_https_once_every_ready_gateway_shows_the_certificate(world):
    await deploy(world, TLS)
    assert len(world.api.all(resources.SECRETS, names.CERTIFICATES_NAMESPACE)) == 1, "gateways may read it"
    for _ in range(2):  # of one gateway alone it is not enough
        assert world.condition(CERT, certificate(world)) == UNSHOWN
        assert world.condition(RT, "hello", "CertificateProvisioned")[:2] == ("True", "HTTPDowngrade")
        assert url(world) == f"http://{HOST}"
        await told(world, "a")
    await told(world, "a", "b")
    assert world.condition(CERT, certificate(world)) == ("True", "", "")
    assert (url(world), world.condition(RT, "hello")[0]) == (f"https://{HOST}", "True")


async def test_nobody_is_redirected_before_and_the_route_waits(world):
    await deploy(world, TLS, **{PROTOCOL: "redirected"})
    assert world.condition(RT, "hello", "CertificateProvisioned")[:2] == ("Unknown", "CertificateNotReady")
    assert not is_redirected(world, RT, "hello")
    await told(world, "a", "b")
    assert is_redirected(world, RT, "hello")
    assert world.condition(RT, "hello")[0] == "Unknown", "the gateways do not redirect yet"
    await told(world, "a", "b")
    assert world.condition(RT, "hello") == ("True", "", "")


async def test_what_was_shown_once_stays_ready_when_it_is_renewed_and_when_gateways_come(world):
    await deploy(world, TLS)
    await told(world, "a", "b")
    name = certificate(world)
    [before] = world.api.all(resources.SECRETS, names.CERTIFICATES_NAMESPACE)
    await world.api.delete(resources.SECRETS, name, NAMESPACE)
    world.worker._keeper._stamps.clear()
    world.gateways.set_ready("a", "b", "c")
    world.worker.mark_everything()
    await world.settle()
    [after] = world.api.all(resources.SECRETS, names.CERTIFICATES_NAMESPACE)
    assert after["data"] != before["data"]
    assert world.condition(CERT, name) == ("True", "", "")
    assert url(world) == f"https://{HOST}"


async def test_a_certificate_that_no_gateway_shows_waits_for_none(world):
    world.gateways.set_ready()
    made = {
        "apiVersion": CERT.api_version,
        "kind": CERT.kind,
        "metadata": {
            "name": "own",
            "namespace": NAMESPACE,
            "labels": {names.CERTIFICATE_TYPE_LABEL: names.SYSTEM_INTERNAL},
            "annotations": {names.CERTIFICATE_CLASS_ANNOTATION: names.OWN_CERTIFICATE_CLASS},
        },
        "spec": {"dnsNames": ["own.example.org"], "secretName": "own"},
    }
    await world.apply(made)
    assert world.condition(CERT, "own") == ("True", "", "")


async def test_a_domain_with_a_key_pair_of_its_own_is_ready_once_that_is_shown(world):
    await deploy(world, PLAIN)
    await told(world, "a", "b")
    now = world.worker._keeper._wall()
    pair = authority.issue(authority.read(authority.make(now), now), [DOMAIN], now)
    await pairs.put(world.api, NAMESPACE, "mine", pair, is_new=True)
    mapping = {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": DOMAIN, "namespace": NAMESPACE, "annotations": {PROTOCOL: "redirected"}},
        "spec": {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"}},
    }
    await world.apply(mapping)
    await told(world, "a", "b")
    assert world.condition(DM, DOMAIN) == ("True", "", "")
    await world.apply(mapping | {"spec": mapping["spec"] | {"tls": {"secretName": "mine"}}})
    assert world.condition(DM, DOMAIN, "CertificateProvisioned") == UNSHOWN
    assert world.condition(DM, DOMAIN)[0] == "Unknown"
    assert not is_redirected(world, DM, DOMAIN)
    await told(world, "a", "b")
    assert world.condition(DM, DOMAIN, "CertificateProvisioned")[:2] == ("True", "CertificateExternallyProvided")
    assert is_redirected(world, DM, DOMAIN)
    await told(world, "a", "b")
    assert world.condition(DM, DOMAIN) == ("True", "", "")
