"""system-internal-tls in the controller: who gets which certificate, and what it means for pods that run."""

import base64
import dataclasses

import pytest
from cryptography import x509

from tests.support.controller_world import NAMESPACE, controller_world, service
from tidegate.contracts import names
from tidegate.contracts.config.network import Network
from tidegate.kube import resources

pytestmark = pytest.mark.looptime


async def switch(world, **values) -> None:
    config = world.worker.world.config
    world.worker.world.config = dataclasses.replace(config, network=Network(**values))
    world.worker.mark_everything()
    await world.settle()


def hosts(world, namespace: str, secret: str) -> list[str]:
    data = world.api.peek(resources.SECRETS, secret, namespace)["data"]
    leaf = x509.load_pem_x509_certificate(base64.b64decode(data["tls.crt"]))
    return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


async def test_a_namespace_and_activators_get_certificates_and_pods_are_rolled():
    async with controller_world() as world:
        await world.apply(service())
        await world.make_ready("hello-00001")
        assert not world.api.all(resources.CERTIFICATES)
        await switch(world, has_system_tls=True)
        assert hosts(world, NAMESPACE, "serving-certs") == ["kn-user-default", "data-plane.knative.dev"]
        routing = hosts(world, names.SYSTEM_NAMESPACE, "routing-serving-certs")
        assert routing == ["kn-routing", "data-plane.knative.dev"]
        [trusted] = world.api.all(resources.CONFIG_MAPS)
        assert trusted["metadata"]["labels"] == {"networking.knative.dev/trust-bundle": "true"}
        assert "BEGIN CERTIFICATE" in trusted["data"]["ca.crt"]
        pod = world.get(resources.DEPLOYMENTS, "hello-00001-deployment")["spec"]["template"]["spec"]
        assert [volume["name"] for volume in pod["volumes"]] == ["server-certs"]
        ports = world.get(resources.SERVICES, "hello-00001-private")["spec"]["ports"]
        assert [port["name"] for port in ports] == ["http", "https"]

        await switch(world)
        pod = world.get(resources.DEPLOYMENTS, "hello-00001-deployment")["spec"]["template"]["spec"]
        assert "volumeMounts" not in pod["containers"][-1]
        assert len(world.get(resources.SERVICES, "hello-00001-private")["spec"]["ports"]) == 1


async def test_a_certificate_that_was_deleted_is_asked_for_again():
    async with controller_world() as world:
        await world.apply(service())
        await switch(world, has_system_tls=True, certificate_class=names.GATEWAY_CERTIFICATE_CLASS)
        # What gateways are given by file is for hosts of the public: these are signed all the same.
        certificate = world.get(resources.CERTIFICATES, "serving-certs")
        assert certificate["metadata"]["annotations"][names.CERTIFICATE_CLASS_ANNOTATION] == names.OWN_CERTIFICATE_CLASS
        await world.api.delete(resources.CERTIFICATES, "serving-certs", NAMESPACE)
        world.worker.mark_everything()
        await world.settle()
        assert world.get(resources.CERTIFICATES, "serving-certs")
