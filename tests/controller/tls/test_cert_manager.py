"""What cert-manager is asked for."""

from controller.reconcile import certificate
from controller.tls import cert_manager
from tidegate.contracts import names
from tidegate.contracts.config.network import Issuer

ROUTE = {
    "apiVersion": "serving.knative.dev/v1",
    "kind": "Route",
    "metadata": {"name": "hello", "namespace": "default", "uid": "u1"},
}
ISSUER = Issuer("letsencrypt")
OWNER = {"kind": "Certificate", "name": "route-u1"}


def wished(host: str, domain: str = "example.com") -> dict:
    asked = certificate.desired(ROUTE, "route-u1", [host], issuer_class=names.CERT_MANAGER_CLASS, domain=domain)
    return cert_manager.render(asked, ISSUER, OWNER)


def test_the_object_asks_for_the_hosts_in_the_secret_of_the_certificate():
    wish = wished("hello.default.example.com")
    assert (wish["apiVersion"], wish["kind"]) == ("cert-manager.io/v1", "Certificate")
    assert wish["metadata"]["name"] == "route-u1"
    assert wish["metadata"]["namespace"] == "default"
    assert wish["metadata"]["ownerReferences"] == [OWNER]
    assert wish["metadata"]["labels"][names.CERTIFICATE_TYPE_LABEL] == names.EXTERNAL_DOMAIN
    assert wish["spec"] == {
        "secretName": "route-u1",
        "commonName": "hello.default.example.com",
        "dnsNames": ["hello.default.example.com"],
        "issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer"},
        "privateKey": {"rotationPolicy": "Always"},
    }


def test_a_host_too_long_for_a_common_name_gets_a_short_one_beside_it():
    host = f"{'a' * 63}.default.example.com"
    spec = wished(host)["spec"]
    assert spec["commonName"] == "k.example.com"
    assert spec["dnsNames"] == ["k.example.com", host]


def test_its_word_is_taken_over():
    assert cert_manager.state({})[:2] == ("Unknown", "CertManagerNotReady")
    ready = {"type": "Ready", "status": "False", "reason": "Denied", "message": "no"}
    assert cert_manager.state({"status": {"conditions": [ready]}}) == ("False", "Denied", "no")
