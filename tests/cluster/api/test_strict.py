"""Strict mode, and the permissions that a verb alone does not show."""

from __future__ import annotations

import asyncio
import json

import pytest

from cluster.api import bootstrap, strictness
from cluster.api.guards import is_held
from cluster.api.housekeeping import History
from tests.cluster.api.conftest import acting_as
from tests.cluster.api.test_kubectl import DEPLOYMENT
from tidegate.kube import connect, resources
from tidegate.kube.api import ApiError, Object, PatchKind
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
    async with asyncio.timeout(30), client._open().get(url, params=options, headers=client._headers()) as answer:
        lines = [json.loads(line) async for line in answer.content]
    assert lines[-1]["type"] == "BOOKMARK"
    assert lines[-1]["object"]["metadata"]["resourceVersion"] == str(backend.store.revision)


def test_history_is_forgotten_by_age() -> None:
    history = History(10.0)
    told = [history.forgotten(revision, now) for revision, now in ((5, 0.0), (7, 6.0), (9, 11.0), (9, 30.0))]
    assert told == [0, 0, 5, 9]
    assert [History(None).forgotten(1, now) for now in (0.0, 99.0)] == [0, 0]


async def test_the_node_may_do_its_work_and_no_more(running, client: Client) -> None:
    async with Client(connect.load(running.state / "pki" / "node.kubeconfig"), user_agent="node") as node:
        assert (await node.list(resources.PODS)).items == []
        assert (await refused(node.list(resources.SECRETS))).status == 403
        assert (await refused(node.create(resources.NAMESPACES, {"metadata": {"name": "x"}}))).status == 403
        await client.create(resources.SERVICE_ACCOUNTS, {"metadata": {"name": "bot", "namespace": "default"}})
        request: Object = {"metadata": {"name": "bot", "namespace": "default"}, "spec": {}}
        asked = (resources.SERVICE_ACCOUNTS, request, "default", "token")
        assert "no pod of this node runs as" in (await refused(node.create(*asked))).message
        spec = {"containers": [{"name": "c", "image": "x"}], "nodeName": "local", "serviceAccountName": "bot"}
        await client.create(resources.PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
        assert (await node.create(*asked))["status"]["token"]


async def test_a_token_of_a_pod_dies_with_it(running, client: Client) -> None:
    await client.create(resources.SERVICE_ACCOUNTS, {"metadata": {"name": "bot", "namespace": "default"}})
    spec = {"containers": [{"name": "c", "image": "x"}], "serviceAccountName": "bot"}
    made = await client.create(resources.PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": made["metadata"]["uid"]}
    request = {"metadata": {"name": "bot", "namespace": "default"}, "spec": {"boundObjectRef": bound}}
    token = (await client.create(resources.SERVICE_ACCOUNTS, request, "default", "token"))["status"]["token"]
    user = running.server.authenticator.user
    now = running.server.backend.clock()
    assert user(f"Bearer {token}", now)
    await client.delete(resources.PODS, "p", "default")
    assert user(f"Bearer {token}", now) is None


async def test_who_may_act_as_whom(running, client: Client) -> None:
    allowed = rule("impersonate", "serviceaccounts", resourceNames=["other"])
    await grant(client, "bot", allowed)
    await grant(client, "other", rule("list", "pods"))
    async with acting_as(running, "default", "bot") as bot, acting_as(running, "default", "other"):
        url = running.url + resources.PODS.path("default")

        async def ask(**headers: str) -> int:
            sent = bot._headers() | {name.replace("_", "-"): value for name, value in headers.items()}
            async with bot._open().get(url, headers=sent) as answer:
                return answer.status

        assert await ask() == 403
        assert await ask(Impersonate_User="system:serviceaccount:default:other") == 200
        assert await ask(Impersonate_User="kubernetes-admin") == 403
        assert await ask(Impersonate_User="system:serviceaccount:default:bot") == 403
        both = {"Impersonate_User": "system:serviceaccount:default:other", "Impersonate_Group": "system:masters"}
        assert await ask(**both) == 403


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_what_a_real_store_would_not_take_is_refused(running, client: Client) -> None:
    large = {"metadata": {"name": "a", "namespace": "default", "annotations": {}}, "stringData": {"k": "x" * (2 << 20)}}
    error = await refused(client.create(resources.SECRETS, large))
    assert error.status in (413, 422)
    container: Object = {"name": "c", "image": "x"}
    pod: Object = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [container]}}
    container["env"] = [{"name": f"N{n}", "value": "x" * 1000} for n in range(1600)]
    assert (await refused(client.create(resources.PODS, pod))).reason == "RequestEntityTooLarge"
    container["env"] *= 2
    assert (await refused(client.create(resources.PODS, pod))).status == 413
    container["env"] = [{"name": f"N{n}", "value": "x" * 1000} for n in range(1300)]
    assert await client.create(resources.PODS, pod)


async def test_applying_a_scale_writes_the_replicas(client: Client) -> None:
    await client.create(resources.DEPLOYMENTS, DEPLOYMENT, "default")
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 4}}
    options = {"kind": PatchKind.APPLY, "subresource": "scale", "manager": "m", "force": True}
    scale = await client.patch(resources.DEPLOYMENTS, "web", body, "default", **options)
    assert scale["spec"]["replicas"] == 4
    assert (await client.get(resources.DEPLOYMENTS, "web", "default"))["metadata"]["generation"] == 2


async def test_the_roles_of_an_older_version_are_brought_up_to_date(running, client: Client) -> None:
    await client.patch(resources.CLUSTER_ROLES, "system:node", {"rules": [], "metadata": {"labels": {"kept": "yes"}}})
    await bootstrap.ensure(running.server.backend)
    found = await client.get(resources.CLUSTER_ROLES, "system:node")
    assert found["rules"] == bootstrap.ROLES["system:node"]
    assert found["metadata"]["labels"] == {"kept": "yes"}
