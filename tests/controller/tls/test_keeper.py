"""Certificates over an in-memory API server: signed, copied for gateways, renewed, withdrawn."""

import base64
from dataclasses import replace

import pytest

from controller.reconcile import certificate
from controller.tls import authority, pairs, plan
from tests.support.controller_world import NAMESPACE, ControllerWorld, controller_world
from tidegate.contracts import names
from tidegate.contracts.config.network import Issuer
from tidegate.kube import resources
from tidegate.kube.api import ApiError

pytestmark = pytest.mark.looptime

ROUTE = {
    "apiVersion": "serving.knative.dev/v1",
    "kind": "Route",
    "metadata": {"name": "hello", "namespace": NAMESPACE, "uid": "u1"},
}
HOST = "hello.default.example.com"


@pytest.fixture
async def world():
    async with controller_world() as made:
        yield made


def asked(
    name: str = "route-u1", purpose: str = names.EXTERNAL_DOMAIN, issuer_class: str = names.OWN_CERTIFICATE_CLASS
):
    made = certificate.desired(ROUTE, name, [HOST], issuer_class=issuer_class, purpose=purpose)
    del made["metadata"]["ownerReferences"]  # no Route is played
    return made


def secret(world: ControllerWorld, name: str, namespace: str = NAMESPACE) -> dict[str, str]:
    found = world.api.peek(resources.SECRETS, name, namespace)
    assert found is not None, name
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def copies(world: ControllerWorld):
    return world.api.all(resources.SECRETS, names.CERTIFICATES_NAMESPACE)


async def test_a_certificate_is_signed_by_the_clusters_authority_and_copied_for_gateways(world):
    made = await world.apply(asked())
    assert world.condition(resources.CERTIFICATES, "route-u1")[0] == "True"
    pair = secret(world, "route-u1")
    bundle = world.api.peek(resources.CONFIG_MAPS, names.AUTHORITY, names.SYSTEM_NAMESPACE)["data"]["ca.crt"]
    assert pair["ca.crt"] == bundle == secret(world, names.AUTHORITY, names.SYSTEM_NAMESPACE)["tls.crt"]
    stored = world.api.peek(resources.SECRETS, "route-u1", NAMESPACE)
    assert stored["type"] == "kubernetes.io/tls"
    assert stored["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    [copy] = copies(world)
    assert copy["metadata"]["annotations"][names.SERVED_HOSTS_ANNOTATION] == HOST
    assert secret(world, copy["metadata"]["name"], names.CERTIFICATES_NAMESPACE) == {
        key: pair[key] for key in ("tls.crt", "tls.key")
    }
    await world.api.delete(resources.CERTIFICATES, "route-u1", NAMESPACE)
    await world.settle()
    assert copies(world) == []


async def test_nothing_is_written_for_a_certificate_that_needs_nothing(world):
    await world.apply(asked())
    calls = len(world.api.calls)
    world.worker.mark_everything()
    await world.settle()
    assert len(world.api.calls) == calls


async def test_one_of_tidegates_own_components_is_for_clients_too_and_no_gateway_has_it(world):
    await world.apply(asked("serving-certs", names.SYSTEM_INTERNAL))
    assert world.condition(resources.CERTIFICATES, "serving-certs")[0] == "True"
    assert "tls.key" in secret(world, "serving-certs")
    assert copies(world) == []


async def test_a_class_of_somebody_else_is_left_alone(world):
    made = await world.apply(asked(issuer_class="other.example.com"))
    assert "status" not in made
    assert world.api.all(resources.SECRETS) == []


async def test_a_secret_of_somebody_else_is_not_written_over(world):
    world.api.put(resources.SECRETS, {"metadata": {"name": "route-u1", "namespace": NAMESPACE}, "data": {}})
    await world.apply(asked())
    status, reason, message = world.condition(resources.CERTIFICATES, "route-u1")
    assert (status, reason) == ("False", "SecretNotOwned")
    assert "route-u1" in message
    assert secret(world, "route-u1") == {}
    await world.api.delete(resources.SECRETS, "route-u1", NAMESPACE)
    world.worker.mark(await world.worker._keeper._changed())
    await world.settle()
    assert world.condition(resources.CERTIFICATES, "route-u1")[0] == "True"


async def test_the_secret_of_a_certificate_that_went_is_taken_over_by_the_next_of_its_name(world):
    await world.apply(asked())
    first = secret(world, "route-u1")
    await world.api.delete(resources.CERTIFICATES, "route-u1", NAMESPACE)
    await world.settle()
    second = await world.apply(asked())
    assert world.condition(resources.CERTIFICATES, "route-u1")[0] == "True"
    assert secret(world, "route-u1")["tls.crt"] != first["tls.crt"]
    owners = world.api.peek(resources.SECRETS, "route-u1", NAMESPACE)["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == [second["metadata"]["uid"]]


async def test_it_is_renewed_before_it_ends_and_the_copy_with_it(world):
    await world.apply(asked())
    before = secret(world, "route-u1")
    keeper = world.worker._keeper
    began = keeper._wall()
    keeper._wall = keeper._authority._wall = lambda: began + plan.LEAF_LIFETIME_S * 0.7
    world.worker.mark_everything()
    await world.settle()
    after = secret(world, "route-u1")
    assert after["tls.crt"] != before["tls.crt"]
    assert (
        secret(world, copies(world)[0]["metadata"]["name"], names.CERTIFICATES_NAMESPACE)["tls.crt"] == after["tls.crt"]
    )


async def test_an_authority_of_the_users_own_signs_and_is_never_changed(world):
    await world.apply(asked())
    keeper = world.worker._keeper
    began = keeper._wall()
    # Nearly at its end, and written over the one that was made, annotations and all.
    own = authority.make(began + 60.0 - plan.AUTHORITY_LIFETIME_S + 30 * 86400.0)
    await pairs.put(world.api, names.SYSTEM_NAMESPACE, names.AUTHORITY, own, is_new=False)
    keeper._wall = keeper._authority._wall = lambda: began + 60.0
    world.worker.mark_everything()
    await world.settle()
    assert secret(world, "route-u1")["ca.crt"] == own["tls.crt"]
    assert secret(world, names.AUTHORITY, names.SYSTEM_NAMESPACE) == own


async def test_the_clusters_own_authority_is_replaced_in_time_and_the_one_before_stays_trusted(world):
    await world.apply(asked())
    first = secret(world, names.AUTHORITY, names.SYSTEM_NAMESPACE)["tls.crt"]
    keeper = world.worker._keeper
    began = keeper._wall()
    keeper._wall = keeper._authority._wall = lambda: began + plan.AUTHORITY_LIFETIME_S - 300 * 86400.0
    world.worker.mark_everything()
    await world.settle()
    second = secret(world, names.AUTHORITY, names.SYSTEM_NAMESPACE)["tls.crt"]
    assert second != first
    bundle = world.api.peek(resources.CONFIG_MAPS, names.AUTHORITY, names.SYSTEM_NAMESPACE)["data"]["ca.crt"]
    assert bundle == secret(world, "route-u1")["ca.crt"] == second + first
    assert world.condition(resources.CERTIFICATES, "route-u1")[0] == "True"


@pytest.mark.parametrize("change", ["deleted", "emptied", "unlabelled"])
async def test_what_is_to_be_trusted_is_told_again_when_somebody_takes_it_away(world, change):
    await world.apply(asked())
    before = world.api.peek(resources.CONFIG_MAPS, names.AUTHORITY, names.SYSTEM_NAMESPACE)
    changed = {
        "emptied": before | {"data": {}},
        "unlabelled": before | {"metadata": before["metadata"] | {"labels": {}}},
    }
    await world.api.delete(resources.CONFIG_MAPS, names.AUTHORITY, names.SYSTEM_NAMESPACE)
    if change in changed:
        world.api.put(resources.CONFIG_MAPS, changed[change])
    keeper = world.worker._keeper
    began = keeper._wall()
    keeper._authority._wall = lambda: began + 60.0
    await keeper._authority.keep_published()
    after = world.api.peek(resources.CONFIG_MAPS, names.AUTHORITY, names.SYSTEM_NAMESPACE)
    assert after["data"] == before["data"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]


async def test_an_authority_that_cannot_sign_is_named_in_the_condition(world):
    await pairs.put(world.api, names.SYSTEM_NAMESPACE, names.AUTHORITY, {"tls.crt": "x", "tls.key": "y"}, is_new=True)
    await world.apply(asked())
    status, reason, message = world.condition(resources.CERTIFICATES, "route-u1")
    assert (status, reason) == ("False", "CannotSign")
    assert f"{names.SYSTEM_NAMESPACE}/{names.AUTHORITY}" in message


@pytest.mark.parametrize("is_installed", [True, False])
async def test_cert_manager_is_asked_where_the_class_says_so(world, is_installed):
    config = world.worker.world.config
    issuers = ((names.EXTERNAL_DOMAIN, Issuer("letsencrypt")),)
    world.worker.world.config = replace(config, network=replace(config.network, issuers=issuers))
    if not is_installed:
        gone = ApiError(404, "NotFound", "the server could not find the requested resource")
        world.api.refuse("create", resources.CERT_MANAGER_CERTIFICATES, gone, times=9)
    await world.apply(asked(issuer_class=names.CERT_MANAGER_CLASS))
    status, reason, message = world.condition(resources.CERTIFICATES, "route-u1")
    if not is_installed:
        assert (status, reason) == ("False", "CertManagerNotFound")
        assert "install it" in message
        return
    assert (status, reason) == ("Unknown", "CertManagerNotReady")
    wish = world.api.peek(resources.CERT_MANAGER_CERTIFICATES, "route-u1", NAMESPACE)
    assert wish["spec"]["issuerRef"]["name"] == "letsencrypt"
    now = world.worker._keeper._wall()
    data = authority.issue(authority.read(authority.make(now), now), [HOST], now)
    await pairs.put(world.api, NAMESPACE, "route-u1", data, is_new=True)
    world.api.put(
        resources.CERT_MANAGER_CERTIFICATES, wish | {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    )
    world.worker.mark_everything()
    await world.settle()
    assert world.condition(resources.CERTIFICATES, "route-u1")[0] == "True"
    assert len(copies(world)) == 1
