"""Strict mode, and the permissions that a verb alone does not show."""

from __future__ import annotations

import asyncio
import json

import pytest

from cluster.api import strictness
from cluster.api.guards import is_held
from cluster.api.housekeeping import History
from tests.cluster.api.conftest import acting_as
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object
from tidegate.kube.client import Client

RBAC = "rbac.authorization.k8s.io"
strict = pytest.mark.parametrize("running", [{"strict": True}], indirect=True)


def role(name: str, *rules: Object) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "rules": list(rules)}


def rule(verb: str, resource: str, group: str = "", **more: list[str]) -> Object:
    return {"verbs": [verb], "apiGroups": [group], "resources": [resource], **more}


def binding(name: str, kind: str, to: str, account: str) -> Object:
    subject = {"kind": "ServiceAccount", "name": account, "namespace": "default"}
    reference = {"apiGroup": RBAC, "kind": kind, "name": to}
    return {"metadata": {"name": name, "namespace": "default"}, "roleRef": reference, "subjects": [subject]}


async def grant(client: Client, account: str, *rules: Object) -> None:
    await client.create(resources.ROLES, role(f"of-{account}", *rules))
    await client.create(resources.ROLE_BINDINGS, binding(f"of-{account}", "Role", f"of-{account}", account))


async def refused(awaitable) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await awaitable
    return caught.value


async def test_nobody_grants_more_than_they_have(running, client: Client) -> None:
    writes = [rule("create", "roles", RBAC), rule("create", "rolebindings", RBAC)]
    await grant(client, "bot", *writes, rule("get", "pods"))
    await client.create(resources.ROLES, role("secrets", rule("get", "secrets")))
    async with acting_as(running, "default", "bot") as bot:
        await bot.create(resources.ROLES, role("mine", rule("get", "pods")))
        await bot.create(resources.ROLE_BINDINGS, binding("mine", "Role", "mine", "other"))
        error = await refused(bot.create(resources.ROLES, role("more", rule("get", "pods"), rule("list", "pods"))))
        assert (error.status, error.reason) == (403, "Forbidden")
        assert error.message.endswith('not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["list"]}')
        assert (
            await refused(bot.create(resources.ROLE_BINDINGS, binding("s", "Role", "secrets", "bot")))
        ).status == 403
        assert (await refused(bot.create(resources.ROLE_BINDINGS, binding("n", "Role", "none", "bot")))).status == 404


async def test_escalate_and_bind_allow_it(running, client: Client) -> None:
    writes = [rule("create", "roles", RBAC), rule("create", "rolebindings", RBAC)]
    await grant(client, "boss", *writes, rule("escalate", "roles", RBAC), rule("bind", "roles", RBAC))
    async with acting_as(running, "default", "boss") as boss:
        await boss.create(resources.ROLES, role("any", rule("*", "*", "*")))
        await boss.create(resources.ROLE_BINDINGS, binding("any", "Role", "any", "boss"))


@pytest.mark.parametrize(
    ("wanted", "held", "expected"),
    [
        (rule("get", "pods"), [rule("*", "*", "*")], True),
        (rule("get", "pods/log"), [rule("get", "pods")], False),
        (rule("get", "pods"), [rule("get", "pods", resourceNames=["a"])], False),
        (rule("get", "pods", resourceNames=["a"]), [rule("get", "pods")], True),
        (rule("get", "a") | {"resources": ["a", "b"]}, [rule("get", "a"), rule("list", "b")], False),
        ({"verbs": ["get"], "nonResourceURLs": ["/x"]}, [{"verbs": ["get"], "nonResourceURLs": ["/*"]}], True),
        (rule("*", "pods"), [rule("get", "pods")], False),
    ],
)  # fmt: skip
def test_what_is_held(wanted: Object, held: list[Object], expected: bool) -> None:
    assert is_held(wanted, held) is expected


@strict
async def test_blocking_an_owners_deletion_needs_its_finalizers(running, client: Client) -> None:
    await grant(client, "bot", rule("create", "configmaps"))
    owner = await client.create(resources.CONFIG_MAPS, {"metadata": {"name": "owner", "namespace": "default"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    child = {"metadata": {"name": "c", "namespace": "default", "ownerReferences": [reference]}}
    async with acting_as(running, "default", "bot") as bot:
        await bot.create(resources.CONFIG_MAPS, child)
        child = {
            "metadata": {
                **child["metadata"],
                "name": "d",
                "ownerReferences": [reference | {"blockOwnerDeletion": True}],
            }
        }
        error = await refused(bot.create(resources.CONFIG_MAPS, child))
        assert 'cannot update resource "configmaps/finalizers"' in error.message
        await grant(client, "bot2", rule("create", "configmaps"), rule("update", "configmaps/finalizers"))
    async with acting_as(running, "default", "bot2") as bot:
        await bot.create(resources.CONFIG_MAPS, child)


@strict
async def test_unknown_fields_are_refused_unless_asked_otherwise(client: Client, running) -> None:
    body = {"metadata": {"name": "a", "namespace": "default"}, "dat": {}}
    assert (await refused(client.create(resources.CONFIG_MAPS, body))).status == 400
    headers = client._headers() | {"Content-Type": "application/json"}
    for validation, warned in (("Warn", 1), ("Ignore", 0)):
        url = running.url + resources.CONFIG_MAPS.path("default")
        text = json.dumps(body | {"metadata": {"name": validation.lower()}})
        async with client._open().post(
            url, data=text, params={"fieldValidation": validation}, headers=headers
        ) as answer:
            assert (answer.status, len(answer.headers.getall("Warning", []))) == (201, warned)


@strict
async def test_watches_end_soon_and_say_where(running, client: Client) -> None:
    backend = running.server.backend
    backend.strictness = strictness.Strictness(watch_s=0.05, caps_watches=True)
    url = running.url + resources.CONFIG_MAPS.path("default")
    options = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "600"}
    async with asyncio.timeout(5), client._open().get(url, params=options, headers=client._headers()) as answer:
        lines = [json.loads(line) async for line in answer.content]
    assert lines[-1]["type"] == "BOOKMARK"
    assert lines[-1]["object"]["metadata"]["resourceVersion"] == str(backend.store.revision)


def test_history_is_forgotten_by_age() -> None:
    history = History(10.0)
    told = [history.forgotten(revision, now) for revision, now in ((5, 0.0), (7, 6.0), (9, 11.0), (9, 30.0))]
    assert told == [0, 0, 5, 9]
    assert [History(None).forgotten(1, now) for now in (0.0, 99.0)] == [0, 0]


async def test_the_node_may_do_its_work_and_no_more(running, client: Client) -> None:
    from tidegate.kube import connect

    async with Client(connect.load(running.state / "pki" / "node.kubeconfig"), user_agent="node") as node:
        assert (await node.list(resources.PODS)).items == []
        assert (await refused(node.list(resources.SECRETS))).status == 403
        assert (await refused(node.create(resources.NAMESPACES, {"metadata": {"name": "x"}}))).status == 403


async def test_a_token_of_a_pod_dies_with_it(running, client: Client) -> None:
    await client.create(resources.SERVICE_ACCOUNTS, {"metadata": {"name": "bot", "namespace": "default"}})
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    made = await client.create(resources.PODS, pod)
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": made["metadata"]["uid"]}
    request = {"metadata": {"name": "bot", "namespace": "default"}, "spec": {"boundObjectRef": bound}}
    token = (await client.create(resources.SERVICE_ACCOUNTS, request, "default", "token"))["status"]["token"]
    user = running.server.authenticator.user
    now = running.server.backend.clock()
    assert user(f"Bearer {token}", now)
    await client.delete(resources.PODS, "p", "default")
    assert user(f"Bearer {token}", now) is None
