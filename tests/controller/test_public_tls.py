"""Certificates of public hosts: what Routes and DomainMappings ask for, and what they say meanwhile."""

import base64
import dataclasses
import zlib

import pytest

from controller.tls import authority, pairs
from tests.support.controller_world import NAMESPACE, controller_world, service
from tidegate.contracts import label_selectors, names
from tidegate.contracts.config.network import Domain, Network
from tidegate.kube import resources

pytestmark = pytest.mark.looptime

RT, DM, CERT = resources.ROUTES, resources.DOMAIN_MAPPINGS, resources.CERTIFICATES
PUBLIC = Network(domains=(Domain("example.com"),), creates_domain_claims=True)
TLS = dataclasses.replace(PUBLIC, has_external_tls=True)
NOBODYS = dataclasses.replace(TLS, certificate_class="nobody.example.com")
HOST, DOMAIN = "hello.default.example.com", "www.example.org"
CLASS, TLS_OFF = names.CERTIFICATE_CLASS_ANNOTATION, "networking.knative.dev/disable-external-domain-tls"
PROTOCOL = names.HTTP_PROTOCOL_ANNOTATION


@pytest.fixture
async def world():
    async with controller_world() as made:
        yield made


def use(world, network: Network) -> None:
    world.worker.world.config = dataclasses.replace(world.config, network=network)


async def deploy(world, network: Network, traffic=None, **annotations: str):
    use(world, network)
    document = service(traffic=traffic)
    document["metadata"]["annotations"] = annotations
    await world.apply(document)
    await world.make_ready("hello-00001")
    return world.get(RT, "hello")


def mapping(secret: str = "", **annotations: str):
    tls = {"tls": {"secretName": secret}} if secret else {}
    return {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": DOMAIN, "namespace": NAMESPACE, "annotations": annotations},
        "spec": {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"}} | tls,
    }


def own_pair(world, host: str = DOMAIN) -> dict[str, str]:
    now = world.worker._keeper._wall()
    return authority.issue(authority.read(authority.make(now), now), [host], now)


async def poll(world) -> None:
    """Let the controller look at Secrets of others, and settle."""
    world.worker.mark(await world.worker._keeper._changed())
    await world.settle()


def certificates(world) -> dict[str, dict]:
    return {one["metadata"]["name"]: one for one in world.api.all(CERT)}


def served_hosts(world) -> set[str]:
    found = world.api.all(resources.SECRETS, names.CERTIFICATES_NAMESPACE)
    return {one["metadata"]["annotations"][names.SERVED_HOSTS_ANNOTATION] for one in found}


async def test_a_route_and_each_of_its_tags_have_a_certificate(world):
    tagged = [{"latestRevision": True, "percent": 100}, {"latestRevision": True, "percent": 0, "tag": "next"}]
    route = await deploy(world, TLS, tagged)
    name = f"route-{route['metadata']['uid']}"
    tag_name = f"{name}-{zlib.adler32(b'next')}"
    found = certificates(world)
    assert found.keys() == {name, tag_name}
    assert found[name]["spec"] == {"dnsNames": [HOST], "secretName": name, "domain": "example.com"}
    assert found[tag_name]["spec"]["dnsNames"] == [f"next-{HOST}"]
    assert found[name]["metadata"]["labels"] == {
        names.ROUTE_LABEL: "hello",
        names.CERTIFICATE_TYPE_LABEL: "external-domain",
    }
    assert found[name]["metadata"]["annotations"][CLASS] == names.OWN_CERTIFICATE_CLASS
    assert route["status"]["url"] == f"https://{HOST}"
    assert route["status"]["traffic"][1]["url"] == f"https://next-{HOST}"
    assert route["status"]["address"]["url"].startswith("http://")
    assert served_hosts(world) == {HOST, f"next-{HOST}"}
    await world.apply(service(traffic=[{"latestRevision": True, "percent": 100}]))
    assert certificates(world).keys() == {name}
    assert served_hosts(world) == {HOST}


async def test_a_route_that_switches_it_off_loses_its_certificate(world):
    await deploy(world, TLS)
    document = service()
    document["metadata"]["annotations"] = {TLS_OFF: "true"}
    await world.apply(document)
    route = world.get(RT, "hello")
    assert certificates(world) == {}
    assert served_hosts(world) == set()
    assert route["status"]["url"] == f"http://{HOST}"
    assert world.condition(RT, "hello", "CertificateProvisioned")[:2] == ("True", "TLSNotEnabled")


async def test_clear_text_is_served_until_the_certificate_is_there(world):
    route = await deploy(world, NOBODYS)
    assert world.condition(RT, "hello", "CertificateProvisioned")[:2] == ("True", "HTTPDowngrade")
    assert route["status"]["url"] == f"http://{HOST}"
    [made] = world.api.all(CERT)
    generation = made["metadata"]["generation"]
    made["status"] = {"observedGeneration": generation, "conditions": [{"type": "Ready", "status": "True"}]}
    world.api.put(CERT, made)
    await world.settle()
    assert world.condition(RT, "hello", "CertificateProvisioned") == ("True", "", "")
    assert world.get(RT, "hello")["status"]["url"] == f"https://{HOST}"


@pytest.mark.parametrize(
    ("status", "expected", "reason"),
    [("Unknown", "Unknown", "CertificateNotReady"), ("False", "False", "CertificateProvisionFailed")],
)
async def test_a_route_that_redirects_is_not_ready_without_its_certificate_and_sends_nobody_away(
    world, status, expected, reason
):
    await deploy(world, NOBODYS, **{PROTOCOL: "redirected"})
    [made] = world.api.all(CERT)
    told = {"type": "Ready", "status": status, "reason": "Because", "message": "no issuer"}
    made["status"] = {"observedGeneration": made["metadata"]["generation"], "conditions": [told]}
    world.api.put(CERT, made)
    await world.settle()
    found, why, message = world.condition(RT, "hello", "CertificateProvisioned")
    assert (found, why) == (expected, reason)
    assert "no issuer" in message
    assert world.condition(RT, "hello")[0] == expected
    assert PROTOCOL not in (world.get(RT, "hello")["status"].get("annotations") or {})


async def test_the_class_may_be_said_by_the_route_and_the_gateways_own_needs_no_certificate(world):
    route = await deploy(world, TLS, **{CLASS: names.GATEWAY_CERTIFICATE_CLASS})
    assert certificates(world) == {}
    assert route["status"]["url"] == f"https://{HOST}"
    assert world.condition(RT, "hello", "CertificateProvisioned")[:2] == ("True", "CertificateExternallyProvided")


async def test_a_domain_has_a_certificate_of_its_name(world):
    await deploy(world, TLS)
    await world.apply(mapping())
    made = certificates(world)[DOMAIN]
    assert made["spec"] == {"dnsNames": [DOMAIN], "secretName": DOMAIN}
    found = world.get(DM, DOMAIN)
    assert found["status"]["url"] == found["status"]["address"]["url"] == f"https://{DOMAIN}"
    assert world.condition(DM, DOMAIN)[0] == "True"
    assert served_hosts(world) == {HOST, DOMAIN}


async def test_a_domain_brings_its_own_key_pair_and_changes_of_it_are_taken_live(world):
    await deploy(world, PUBLIC)
    first = own_pair(world)
    await pairs.put(world.api, NAMESPACE, "mine", first, is_new=True)
    await world.apply(mapping("mine", **{PROTOCOL: "redirected"}))
    status, reason, message = world.condition(DM, DOMAIN, "CertificateProvisioned")
    assert (status, reason) == ("True", "CertificateExternallyProvided"), message
    found = world.get(DM, DOMAIN)
    assert found["status"]["url"] == f"https://{DOMAIN}"
    assert found["status"]["annotations"][PROTOCOL] == "redirected"
    assert certificates(world) == {}

    def shown() -> str:
        [copy] = world.api.all(resources.SECRETS, names.CERTIFICATES_NAMESPACE)
        return base64.b64decode(copy["data"]["tls.crt"]).decode()

    assert shown() == first["tls.crt"]
    second = own_pair(world)
    await pairs.put(world.api, NAMESPACE, "mine", second, is_new=False)
    await poll(world)
    assert shown() == second["tls.crt"]
    # Broken, it is told; what was good is still shown.
    await pairs.put(world.api, NAMESPACE, "mine", {"tls.key": "nonsense"}, is_new=False)
    await poll(world)
    assert world.condition(DM, DOMAIN, "CertificateProvisioned")[:2] == ("False", "SecretNotUsable")
    assert shown() == second["tls.crt"]
    await world.apply(mapping())
    assert served_hosts(world) == set()


async def test_a_missing_secret_is_told_with_field_and_fix_and_taken_when_it_comes(world):
    await deploy(world, PUBLIC)
    await world.apply(mapping("mine"))
    status, reason, message = world.condition(DM, DOMAIN, "CertificateProvisioned")
    assert (status, reason) == ("False", "SecretNotFound")
    assert message.startswith("spec.tls.secretName: Secret mine")
    assert "kubectl create secret tls mine" in message
    await pairs.put(world.api, NAMESPACE, "mine", own_pair(world, "other.example.org"), is_new=True)
    await poll(world)
    status, reason, message = world.condition(DM, DOMAIN, "CertificateProvisioned")
    assert (status, reason) == ("True", "CertificateExternallyProvided")
    assert f"not for {DOMAIN}" in message


async def test_nobody_shows_a_certificate_for_a_domain_that_another_namespace_has(world):
    await deploy(world, PUBLIC)
    claim = {"metadata": {"name": DOMAIN}, "spec": {"namespace": "other"}}
    world.api.put(resources.CLUSTER_DOMAIN_CLAIMS, claim)
    await pairs.put(world.api, NAMESPACE, "mine", own_pair(world), is_new=True)
    await world.apply(mapping("mine"))
    assert world.condition(DM, DOMAIN, "DomainClaimed")[1] == "DomainAlreadyClaimed"
    assert served_hosts(world) == set()


async def test_who_loses_a_domain_to_another_namespace_loses_its_certificate(world):
    await deploy(world, TLS)
    await world.apply(mapping())
    assert DOMAIN in served_hosts(world)
    await world.api.delete(resources.CLUSTER_DOMAIN_CLAIMS, DOMAIN)
    world.api.put(resources.CLUSTER_DOMAIN_CLAIMS, {"metadata": {"name": DOMAIN}, "spec": {"namespace": "other"}})
    world.worker.mark_everything()
    await world.settle()
    assert world.condition(DM, DOMAIN, "DomainClaimed")[1] == "DomainAlreadyClaimed"
    assert DOMAIN not in certificates(world)
    assert DOMAIN not in served_hosts(world)


EVERYWHERE = dataclasses.replace(TLS, wildcard_selector=label_selectors.parse("{}"))
WILD = "default.example.com"


def put_namespace(world, **labels: str) -> None:
    world.api.put(resources.NAMESPACES, {"metadata": {"name": NAMESPACE, "labels": labels}})


async def test_a_namespace_has_one_certificate_for_all_hosts_of_its_routes(world):
    put_namespace(world)
    tagged = [{"latestRevision": True, "percent": 100}, {"latestRevision": True, "percent": 0, "tag": "next"}]
    route = await deploy(world, EVERYWHERE, tagged)
    found = certificates(world)
    assert found.keys() == {WILD}
    assert found[WILD]["spec"] == {"dnsNames": [f"*.{WILD}"], "secretName": WILD, "domain": "example.com"}
    assert found[WILD]["metadata"]["labels"][names.WILDCARD_LABEL] == "example.com"
    [owner] = found[WILD]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["blockOwnerDeletion"]) == ("Namespace", False)
    assert route["status"]["url"] == f"https://{HOST}"
    assert route["status"]["traffic"][1]["url"] == f"https://next-{HOST}"
    assert world.condition(RT, "hello", "CertificateProvisioned") == ("True", "", "")
    assert served_hosts(world) == {f"*.{WILD}"}
    use(world, TLS)
    world.worker.mark_everything()
    await world.settle()
    assert WILD not in certificates(world)
    assert served_hosts(world) == {HOST, f"next-{HOST}"}
    assert world.get(RT, "hello")["status"]["url"] == f"https://{HOST}"


async def test_a_route_has_its_own_certificate_until_the_namespaces_is_there(world):
    put_namespace(world)
    route = await deploy(world, dataclasses.replace(EVERYWHERE, certificate_class="nobody.example.com"))
    assert certificates(world).keys() == {WILD, f"route-{route['metadata']['uid']}"}
    assert world.condition(RT, "hello", "CertificateProvisioned")[1] == "HTTPDowngrade"


async def test_a_namespace_that_is_not_selected_has_none(world):
    put_namespace(world, **{"networking.knative.dev/disableWildcardCert": "true"})
    selector = label_selectors.parse(
        "matchExpressions:\n- key: networking.knative.dev/disableWildcardCert\n  operator: NotIn\n  values: ['true']\n"
    )
    await deploy(world, dataclasses.replace(TLS, wildcard_selector=selector))
    assert WILD not in certificates(world)
    put_namespace(world)
    await world.settle()
    assert certificates(world).keys() == {WILD}


@pytest.mark.parametrize("template", ["{{.Name}}-{{.Namespace}}.{{.Domain}}", "{{.Namespace}}.{{.Name}}.{{.Domain}}"])
async def test_hosts_that_no_wildcard_is_for_have_certificates_of_their_own(world, template):
    put_namespace(world)
    route = await deploy(world, dataclasses.replace(EVERYWHERE, domain_template=template))
    assert certificates(world).keys() == {f"route-{route['metadata']['uid']}"}
