"""Admission webhooks over real HTTPS: called for what they match, and believed; and what if they do not answer."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cluster.api import credentials
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object
from tidegate.kube.client import Client

CM = resources.CONFIG_MAPS


@dataclass
class Hook:
    """A webhook server: `answers` is what it says next, `asked` what it was asked."""

    port: int
    ca: str
    answers: dict[str, Any] = field(default_factory=lambda: {"allowed": True})
    asked: list[Object] = field(default_factory=list)
    status: int = 200

    async def handle(self, request: web.Request) -> web.Response:
        review = await request.json()
        self.asked.append(review["request"])
        response = {"uid": review["request"]["uid"]} | self.answers
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        return web.json_response(body, status=self.status)


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    folder = tmp_path / "hook"
    made = credentials.ensure(folder, "127.0.0.1")
    credentials._make_server_certificate(folder, "webhook.default.svc", folder / "svc.crt", folder / "svc.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server-127.0.0.1.crt", folder / "server-127.0.0.1.key")
    hook = Hook(0, base64.b64encode(made.ca_pem.encode()).decode())
    application = web.Application()
    application.router.add_post("/{path:.*}", hook.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    hook.port = runner.addresses[0][1]
    yield hook
    await runner.cleanup()


def configuration(hook: Hook, kind: str = "Validating", **spec: Any) -> Object:
    webhook = {
        "name": "check.example.dev",
        "clientConfig": {"url": f"https://127.0.0.1:{hook.port}/check", "caBundle": hook.ca},
        "rules": [
            {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "scope": "*"}
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 30,
    } | spec
    return {"metadata": {"name": "hooks"}, "webhooks": [webhook]}


async def create(client: Client, name: str = "a", **metadata: Any) -> Object:
    return await client.create(CM, {"metadata": {"name": name, "namespace": "default"} | metadata, "data": {"k": "v"}})


def patch(*operations: Object) -> dict[str, Any]:
    encoded = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": encoded}


async def test_a_denial_reaches_the_client_in_kubernetes_words(client: Client, hook: Hook) -> None:
    await client.create(resources.VALIDATING_WEBHOOKS, configuration(hook))
    hook.answers = {"allowed": False, "status": {"message": "not today", "code": 400, "reason": "BadRequest"}}
    with pytest.raises(ApiError) as caught:
        await create(client)
    assert caught.value.message == 'admission webhook "check.example.dev" denied the request: not today'
    assert (caught.value.status, caught.value.reason) == (400, "BadRequest")
    assert not (await client.list(CM, "default")).items


async def test_the_question_says_who_what_and_how(client: Client, hook: Hook) -> None:
    await client.create(resources.VALIDATING_WEBHOOKS, configuration(hook))
    await create(client)
    await client.patch(CM, "a", {"data": {"k": "w"}}, "default")
    await client.delete(CM, "a", "default")
    created, updated, deleted = hook.asked
    assert created["operation"] == "CREATE"
    assert created["oldObject"] is None
    assert created["userInfo"]["username"] == "kubernetes-admin"
    assert created["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (updated["oldObject"]["data"], updated["object"]["data"]) == ({"k": "v"}, {"k": "w"})
    assert updated["options"]["fieldManager"] == "tidegate"
    assert (deleted["operation"], deleted["object"]) == ("DELETE", None)
    assert deleted["oldObject"]["metadata"]["name"] == "a"


async def test_a_mutating_webhook_changes_the_object_but_not_its_identity(client: Client, hook: Hook) -> None:
    await client.create(resources.MUTATING_WEBHOOKS, configuration(hook))
    hook.answers = patch(
        {"op": "add", "path": "/data/added", "value": "1"}, {"op": "replace", "path": "/metadata/name", "value": "b"}
    )
    made = await create(client)
    assert made["data"] == {"k": "v", "added": "1"}
    assert made["metadata"]["name"] == "a"


async def test_a_mutated_object_is_validated(client: Client, hook: Hook) -> None:
    await client.create(resources.MUTATING_WEBHOOKS, configuration(hook))
    hook.answers = patch({"op": "add", "path": "/data/bad key", "value": "1"})
    with pytest.raises(ApiError, match="is invalid"):
        await create(client)


async def test_warnings_travel_as_headers(running, client: Client, hook: Hook) -> None:
    await client.create(resources.VALIDATING_WEBHOOKS, configuration(hook))
    hook.answers = {"allowed": True, "warnings": ['mind the "gap"']}
    session = client._open()
    body = {"metadata": {"name": "a"}}
    async with session.post(running.url + CM.path("default"), json=body, headers=client._headers()) as answer:
        assert answer.status == 201
        assert answer.headers["Warning"] == '299 - "mind the \\"gap\\""'


NOT_CONCERNED = [
    {"rules": [{"operations": ["UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
    {"rules": [{"operations": ["*"], "apiGroups": ["apps"], "apiVersions": ["*"], "resources": ["*"]}]},
    {"rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps/status"]}]},
    {"rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["*"], "scope": "Cluster"}]},
    {"namespaceSelector": {"matchLabels": {"team": "x"}}},
    {"objectSelector": {"matchLabels": {"team": "x"}}},
]


@pytest.mark.parametrize("spec", NOT_CONCERNED)
async def test_what_a_webhook_is_not_concerned_with(client: Client, hook: Hook, spec: Object) -> None:
    await client.create(resources.VALIDATING_WEBHOOKS, configuration(hook, **spec))
    await create(client)
    assert hook.asked == []


@pytest.mark.parametrize(
    "spec",
    [
        {"rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]},
        {"rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["*"]}]},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}},
        {"objectSelector": {"matchLabels": {"team": "y"}}},
    ],
)
async def test_what_it_is_concerned_with(client: Client, hook: Hook, spec: Object) -> None:
    await client.create(resources.VALIDATING_WEBHOOKS, configuration(hook, **spec))
    await create(client, labels={"team": "y"})
    assert len(hook.asked) == 1


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
@pytest.mark.parametrize("fault", ["closed", "status", "uid", "tls"])
async def test_a_webhook_that_cannot_be_asked(client: Client, hook: Hook, policy: str, fault: str) -> None:
    spec: dict[str, Any] = {"failurePolicy": policy}
    if fault == "closed":
        spec["clientConfig"] = {"url": "https://127.0.0.1:1/check", "caBundle": hook.ca}
    if fault == "tls":
        spec["clientConfig"] = {"url": f"https://127.0.0.1:{hook.port}/check"}
    if fault == "status":
        hook.status = 500
    if fault == "uid":
        hook.answers = {"allowed": True, "uid": "other"}
    await client.create(resources.VALIDATING_WEBHOOKS, configuration(hook, **spec))
    if policy == "Ignore":
        await create(client)
        return
    with pytest.raises(ApiError) as caught:
        await create(client)
    assert caught.value.status == 500
    assert caught.value.message.startswith('Internal error occurred: failed calling webhook "check.example.dev"')


async def test_a_service_is_resolved_to_a_ready_endpoint_and_verified_by_its_name(
    client: Client, hook: Hook, tmp_path: Path
) -> None:
    folder = tmp_path / "hook"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "svc.crt", folder / "svc.key")
    application = web.Application()
    application.router.add_post("/deep/check", hook.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    port = runner.addresses[0][1]
    spec = {"ports": [{"name": "https", "port": 443, "targetPort": 8443}], "selector": {"a": "b"}}
    await client.create(resources.SERVICES, {"metadata": {"name": "webhook", "namespace": "default"}, "spec": spec})
    service = {"name": "webhook", "namespace": "default", "path": "/deep/check"}
    config = configuration(hook, clientConfig={"service": service, "caBundle": hook.ca})
    await client.create(resources.VALIDATING_WEBHOOKS, config)
    with pytest.raises(ApiError, match="no endpoints available"):
        await create(client)
    await client.create(
        resources.ENDPOINT_SLICES,
        {
            "metadata": {"name": "w", "namespace": "default", "labels": {"kubernetes.io/service-name": "webhook"}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port}],
            "endpoints": [
                {"addresses": ["127.0.0.9"], "conditions": {"ready": False}},
                {"addresses": ["127.0.0.1"], "conditions": {"ready": True}},
            ],
        },
    )
    await create(client)
    assert len(hook.asked) == 1
    await runner.cleanup()


async def test_a_dry_run_is_told_to_the_webhook(client: Client, hook: Hook) -> None:
    await client.create(resources.VALIDATING_WEBHOOKS, configuration(hook, sideEffects="NoneOnDryRun"))
    await client._call("POST", CM.path("default"), params={"dryRun": "All"}, body={"metadata": {"name": "a"}})
    assert hook.asked[0]["dryRun"] is True
    assert hook.asked[0]["options"]["dryRun"] == ["All"]


async def test_a_removed_configuration_is_forgotten_at_once(client: Client, hook: Hook) -> None:
    await client.create(resources.VALIDATING_WEBHOOKS, configuration(hook))
    await client.delete(resources.VALIDATING_WEBHOOKS, "hooks")
    await create(client)
    assert hook.asked == []
