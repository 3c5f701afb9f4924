"""TLS for public hosts: certificates are asked for, shown by name and trusted by the cluster's authority alone.

The cluster is strict: gateway and controller have the rights of their manifests and no others.
"""

from __future__ import annotations

import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from loadtest.instance import Instance
from tests.conformance.conftest import entered
from tests.conformance.world import World, condition, service
from tests.support import certificates
from tidegate.contracts import names
from tidegate.kube import resources

TLS_TIMEOUT_S = 20.0
OFF = {"annotations": {"networking.knative.dev/disable-external-domain-tls": "true"}}


@pytest.fixture
async def tls_world(tls_cluster: tuple[Instance, int]) -> AsyncIterator[World]:
    async with entered(tls_cluster[0]) as world:
        await world.instance.configure("config-network", {"external-domain-tls": "Enabled"})
        yield world


@pytest.fixture
def port(tls_cluster: tuple[Instance, int]) -> int:
    return tls_cluster[1]


async def authority(world: World) -> ssl.SSLContext:
    """Return a client's context that trusts what the cluster tells clients to trust, and nothing else."""

    async def published() -> str:
        found = await world.instance.client.get(resources.CONFIG_MAPS, names.AUTHORITY, names.SYSTEM_NAMESPACE)
        return str(found["data"][names.CA_FIELD])

    return ssl.create_default_context(cadata=await published())


async def by_tls(host: str, port: int, trust: ssl.SSLContext) -> httpx.Response | None:
    """Return the answer to a request by https, None while the host proves nothing that we trust."""
    async with httpx.AsyncClient(verify=trust, timeout=60.0, trust_env=False) as client:
        with contextlib.suppress(httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
            return await client.get(
                f"https://127.0.0.1:{port}/", headers={"Host": host}, extensions={"sni_hostname": host}
            )
    return None


async def serves(world: World, host: str, port: int, trust: ssl.SSLContext, text: str) -> None:
    async def check() -> bool:
        reply = await by_tls(host, port, trust)
        return reply is not None and reply.status_code == 200 and text in reply.text

    await world.until(f"https://{host} serves {text!r}", check, TLS_TIMEOUT_S)


async def serves_at_once(host: str, port: int, trust: ssl.SSLContext, text: str) -> None:
    """Fail unless the first request is answered: who is told https may be asked by https."""
    reply = await by_tls(host, port, trust)
    assert reply is not None, f"https://{host} is told, and not every gateway shows its certificate"
    assert (reply.status_code, text in reply.text) == (200, True)


async def secured(world: World, kind: str, name: str) -> None:
    """Wait until an object says https, of its tags too."""

    async def check() -> bool:
        status = (await world.get(kind, name))["status"]
        urls = [status.get("url", ""), *(row["url"] for row in status.get("traffic") or () if "url" in row)]
        return all(url.startswith("https://") for url in urls)

    try:
        await world.until(f"{kind} {name} has an https URL", check, TLS_TIMEOUT_S)
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {(await world.get(kind, name)).get('status')}") from None


@pytest.mark.upstream("packages", "TestTLS")
async def test_public_hosts_have_certificates_of_their_own(tls_world: World, port: int) -> None:
    world = tls_world
    first = {"traffic": [{"latestRevision": True, "percent": 100, "tag": "blue"}]}
    await world.deploy(service("hello", **first))
    await world.deploy(service("pizza", "pizzaplanetv1"))
    for name in ("hello", "pizza"):
        await secured(world, "Service", name)
    trust = await authority(world)
    await serves_at_once(world.host("hello"), port, trust, "noodles")
    await serves_at_once(world.host("hello", "blue"), port, trust, "noodles")
    await serves_at_once(world.host("pizza"), port, trust, "spaceport")
    assert condition(await world.get("Route", "hello"), "CertificateProvisioned")["status"] == "True"
    # Clear text is still served, and a name that nobody has is not.
    await world.serves(world.host("hello"), "noodles")
    assert await by_tls(world.host("nobody"), port, trust) is None
    assert await by_tls(world.host("hello"), port, ssl.create_default_context()) is None
    asked = await world.all(resources.CERTIFICATES)
    assert sorted(one["spec"]["dnsNames"][0] for one in asked) == sorted(
        [world.host("hello"), world.host("hello", "blue"), world.host("pizza")]
    )


@pytest.mark.upstream("packages", "TestTLSDisabledWithAnnotation")
async def test_a_service_switches_its_certificates_off(tls_world: World, port: int) -> None:
    world = tls_world
    made = await world.deploy(service("hello", metadata=OFF))
    assert made["status"]["url"] == f"http://{world.host('hello')}"
    found = condition(await world.get("Route", "hello"), "CertificateProvisioned")
    assert (found["status"], found["reason"]) == ("True", "TLSNotEnabled")
    assert await world.all(resources.CERTIFICATES) == []
    await world.serves(world.host("hello"), "noodles")


def mapping(name: str, target: str, secret: str = "") -> dict:
    spec: dict = {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": target}}
    if secret:
        spec["tls"] = {"secretName": secret}
    return {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": name},
        "spec": spec,
    }


@pytest.mark.upstream("packages", "TestDomainMappingExternalDomainTLS")
async def test_a_mapped_domain_has_a_certificate(tls_world: World, port: int) -> None:
    world = tls_world
    domain = f"{world.namespace}.example.org"
    await world.deploy(service("hello"))
    await world.create(mapping(domain, "hello"))
    await world.ready("DomainMapping", domain)
    await secured(world, "DomainMapping", domain)
    await serves_at_once(domain, port, await authority(world), "noodles")


@pytest.mark.upstream("packages", "TestBYOCertificate")
async def test_a_domain_brings_its_own_certificate(tls_world: World, port: int, tmp_path: Path) -> None:
    world = tls_world
    domain = f"{world.namespace}.example.net"
    await world.deploy(service("hello"))
    await world.create(mapping(domain, "hello", "mine"))
    told = await world.failed("DomainMapping", domain)
    assert "spec.tls.secretName" in told["message"]
    files = tmp_path / "tls.crt", tmp_path / "tls.key"
    for turn in ("made", "renewed"):
        certificates.write(*files, domain)
        data = {path.name: base64.b64encode(path.read_bytes()).decode() for path in files}
        head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"}, "type": "kubernetes.io/tls"}
        if turn == "made":
            await world.create(head | {"data": data})
        else:
            await world.patch("Secret", "mine", {"data": data})
        found = await world.ready("DomainMapping", domain)
        provided = condition(found, "CertificateProvisioned")
        assert (provided["status"], provided["reason"]) == ("True", "CertificateExternallyProvided")
        assert found["status"]["url"] == f"https://{domain}"
        trust = ssl.create_default_context(cafile=str(files[0]))
        if turn == "made":
            await serves_at_once(domain, port, trust, "noodles")
        else:  # the one before is shown until the controller has seen the new one
            await serves(world, domain, port, trust, "noodles")


async def test_a_namespace_shares_one_certificate(tls_world: World, port: int) -> None:
    world = tls_world
    selector = f"matchLabels: {{kubernetes.io/metadata.name: {world.namespace}}}"
    await world.instance.configure("config-network", {"namespace-wildcard-cert-selector": selector})
    try:
        await world.deploy(service("hello"))
        await secured(world, "Service", "hello")
        await serves_at_once(world.host("hello"), port, await authority(world), "noodles")

        async def is_alone() -> bool:
            asked = await world.all(resources.CERTIFICATES)
            return [one["spec"]["dnsNames"] for one in asked] == [[f"*.{world.namespace}.localhost"]]

        await world.until("the namespace's certificate is the only one", is_alone, TLS_TIMEOUT_S)
        await serves_at_once(world.host("hello"), port, await authority(world), "noodles")
    finally:
        await world.instance.configure("config-network", {"namespace-wildcard-cert-selector": ""})
