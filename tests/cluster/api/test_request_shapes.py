"""What kubectl of each generation sends, request by request: so it keeps working where that kubectl is not at hand."""

from __future__ import annotations

import json

import pytest

from tests.cluster.api.test_kubectl import DEPLOYMENT
from tidegate.kube import resources
from tidegate.kube.api import Object
from tidegate.kube.client import Client

PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
TABLES = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def send(running, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str, bytes]:
    client: Client = running.client
    sent = client._headers() | {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    async with client._open().request(method, running.url + path, data=data, headers=sent) as answer:
        return answer.status, answer.headers.get("Content-Type", ""), await answer.read()


@pytest.mark.parametrize(
    ("path", "accept", "content_type", "begins"),
    [
        # discovery: two documents a group before 1.26, one for all since; v2 since 1.30
        ("/api", "application/json, */*", "application/json", b'{"kind":"APIVersions"'),
        ("/apis", "application/json, */*", "application/json", b'{"kind":"APIGroupList"'),
        ("/apis/apps/v1", "application/json, */*", "application/json", b'{"kind":"APIResourceList"'),
        (
            "/apis",
            f"{AGGREGATED.format('v2beta1')},application/json",
            AGGREGATED.format("v2beta1"),
            b'{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2beta1"',
        ),
        (
            "/api",
            f"{AGGREGATED.format('v2')},{AGGREGATED.format('v2beta1')},application/json",
            AGGREGATED.format("v2"),
            b'{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2"',
        ),
        # schemas: v2 in protobuf and nothing else before 1.27, v3 in JSON since
        ("/openapi/v2?timeout=32s", PROTOBUF_V2, PROTOBUF_V2.replace("@", "."), b"\n\x032.0"),
        ("/openapi/v2", "application/json", "application/json", b'{"swagger":"2.0"'),
        ("/openapi/v3", "application/json, */*", "application/json", b'{"paths":{"api/v1"'),
        ("/openapi/v3/apis/apps/v1", "application/json", "application/json", b'{"openapi":"3.0.0"'),
        # get: tables, in one of two versions
        (f"{DEPLOYMENTS}?limit=500", TABLES, "application/json", b'{"kind":"Table","apiVersion":"meta.k8s.io/v1"'),
    ],
)  # fmt: skip
async def test_reads(running, path: str, accept: str, content_type: str, begins: bytes) -> None:
    code, given, body = await send(running, "GET", path, Accept=accept)
    assert (code, given.split(";charset")[0].replace(" ", "")) == (200, content_type)
    assert body.startswith(begins), body[:80]


async def test_client_side_apply_as_kubectl_1_20_does_it(running, client: Client) -> None:
    last = json.dumps(DEPLOYMENT)
    body = DEPLOYMENT | {
        "metadata": {"name": "web", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": last}}
    }
    path = f"{DEPLOYMENTS}?fieldManager=kubectl-client-side-apply"
    code, _, made = await send(running, "POST", path, body, Content_Type="application/json")
    assert code == 201
    patch: Object = {
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        "spec": {
            "template": {
                "spec": {"$setElementOrder/containers": [{"name": "c"}], "containers": [{"image": "x:2", "name": "c"}]}
            }
        },
    }
    code, _, patched = await send(
        running,
        "PATCH",
        f"{DEPLOYMENTS}/web?fieldManager=kubectl-client-side-apply",
        patch,
        Content_Type="application/strategic-merge-patch+json",
    )
    assert code == 200
    container = json.loads(patched)["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["env"]) == ("x:2", [{"name": "A", "value": "1"}])
    managers = [one["manager"] for one in json.loads(made)["metadata"]["managedFields"]]
    assert managers == ["kubectl-client-side-apply"]


@pytest.mark.parametrize(
    ("options", "left", "finalizers"),
    [
        ({"propagationPolicy": "Background"}, False, None),
        ({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}, False, None),
        ({"apiVersion": "apps/v1", "propagationPolicy": "Foreground"}, True, ["foregroundDeletion"]),
        ({"orphanDependents": True}, True, ["orphan"]),
        ({"orphanDependents": False}, False, None),
        ({"gracePeriodSeconds": 0, "propagationPolicy": "Background"}, False, None),
        ({"dryRun": ["All"]}, True, None),
        (None, False, None),
    ],
)  # fmt: skip
async def test_deletions(
    running, client: Client, options: Object | None, left: bool, finalizers: list[str] | None
) -> None:
    await client.create(resources.DEPLOYMENTS, DEPLOYMENT, "default")
    code, _, _ = await send(running, "DELETE", f"{DEPLOYMENTS}/web", options, Content_Type="application/json")
    assert code == 200
    found = (await client.list(resources.DEPLOYMENTS, "default")).items
    assert bool(found) is left
    if finalizers:
        assert found[0]["metadata"]["finalizers"] == finalizers
