"""Logs from the node, proxied HTTP to pods and services, and the subresources that act."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from cluster.api import connect
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object
from tidegate.kube.client import Client


@pytest.fixture
async def peer() -> AsyncIterator[tuple[int, list[web.Request]]]:
    """A far end that is node, pod and service at once: it repeats what it was asked."""
    asked: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        if request.path.startswith("/containerLogs/"):
            if request.headers.get("Authorization") != "Bearer node-secret":
                return web.Response(status=401, text="who are you")
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"first\n")
            await asyncio.sleep(0.01)
            await response.write(b"second\n")
            return response
        if request.path == "/huge":
            return web.Response(body=b"x" * (connect.PROXY_LIMIT_BYTES + 1))
        body = await request.text()
        headers = {"X-From": "pod", "Content-Type": "text/plain"}
        return web.Response(status=207, headers=headers, text=f"{request.method} {request.path_qs} {body}")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1], asked
    await runner.cleanup()


def pod(containers: tuple[str, ...] = ("c",), node: str = "n") -> Object:
    listed = [{"name": name, "image": "x"} for name in containers]
    return {"metadata": {"name": "p", "namespace": "default"}, "spec": {"nodeName": node, "containers": listed}}


async def with_node(client: Client, port: int) -> None:
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    await client.create(resources.NODES, {"metadata": {"name": "n"}, "status": status})


async def test_logs_are_streamed_from_the_node(running, client: Client, peer, tmp_path: Path) -> None:
    port, asked = peer
    token = tmp_path / "token"
    token.write_text("node-secret\n")
    running.server._resources._connector._token_file = str(token)
    await with_node(client, port)
    await client.create(resources.PODS, pod(("a", "b")))
    path = resources.PODS.path("default", "p", "log")
    assert await client.raw("GET", path, params={"container": "b", "tailLines": "5"}) == b"first\nsecond\n"
    assert asked[0].path_qs == "/containerLogs/default/p/b?tailLines=5"
    with pytest.raises(ApiError, match=r"choose one of: \[a b\]"):
        await client.raw("GET", path)
    with pytest.raises(ApiError, match="container z is not valid for pod p"):
        await client.raw("GET", path, params={"container": "z"})


async def test_logs_without_a_node_or_its_endpoint(client: Client) -> None:
    await client.create(resources.PODS, pod(node=""))
    with pytest.raises(ApiError, match="does not have a host assigned"):
        await client.raw("GET", resources.PODS.path("default", "p", "log"))
    await client.delete(resources.PODS, "p", "default")
    await client.create(resources.PODS, pod())
    with pytest.raises(ApiError, match='nodes "n" not found'):
        await client.raw("GET", resources.PODS.path("default", "p", "log"))


async def test_requests_are_proxied_to_pods_and_services(running, client: Client, peer) -> None:
    port, asked = peer
    await client.create(resources.PODS, pod())
    await client.patch(resources.PODS, "p", {"status": {"podIP": "127.0.0.1"}}, "default", subresource="status")
    url = f"{running.url}{resources.PODS.path('default', f'p:{port}', 'proxy')}/deep/path%20x?a=b"
    async with client._open().post(url, data="hello", headers=client._headers()) as answer:
        assert answer.status == 207
        assert answer.headers["X-From"] == "pod"
        assert await answer.text() == "POST /deep/path%20x?a=b hello"
    assert "Authorization" not in asked[0].headers
    service = {"metadata": {"name": "s", "namespace": "default"}, "spec": {"ports": [{"name": "http", "port": 80}]}}
    await client.create(resources.SERVICES, service)
    with pytest.raises(ApiError, match="no endpoints available"):
        await client.raw("GET", resources.SERVICES.path("default", "s", "proxy") + "/x")
    endpoints = {
        "metadata": {"name": "s1", "namespace": "default", "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": ["127.0.0.1"]}],
    }
    await client.create(resources.ENDPOINT_SLICES, endpoints)
    for name in ("s", "s:80", "s:http", "http:s:80"):
        answered = await client.raw("GET", resources.SERVICES.path("default", name, "proxy") + "/x")
        assert answered == b"GET /x "
    with pytest.raises(ApiError, match="larger than"):
        await client.raw("GET", resources.SERVICES.path("default", "s", "proxy") + "/huge")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("p", ("http", "p", "")), ("p:80", ("http", "p", "80")), ("https:p:http", ("https", "p", "http")),
     (":p:80", ("http", "p", "80"))],
)  # fmt: skip
def test_names_in_proxy_paths(text: str, expected: tuple[str, str, str]) -> None:
    assert connect.split_name(text) == expected


async def test_tokens_stand_for_their_account_and_die_with_it(running, client: Client) -> None:
    import dataclasses

    account = {"metadata": {"name": "bot", "namespace": "default"}}
    await client.create(resources.SERVICE_ACCOUNTS, account)
    request = {"metadata": {"name": "bot", "namespace": "default"}, "spec": {"expirationSeconds": 900}}
    issued = await client.create(resources.SERVICE_ACCOUNTS, request, subresource="token")
    assert issued["spec"]["expirationSeconds"] == 900
    token = issued["status"]["token"]
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    answer = await client._call("POST", path, body=review)
    assert answer["status"]["user"]["username"] == "system:serviceaccount:default:bot"
    async with Client(dataclasses.replace(client.connection, token=token)) as bot:
        with pytest.raises(ApiError) as caught:
            await bot.list(resources.PODS, "default")
        assert caught.value.status == 403
        assert 'User "system:serviceaccount:default:bot" cannot list resource "pods"' in caught.value.message
        assert await bot.raw("GET", "/apis")
        await client.delete(resources.SERVICE_ACCOUNTS, "bot", "default")
        await client.create(resources.SERVICE_ACCOUNTS, account)
        with pytest.raises(ApiError) as caught:
            await bot.list(resources.PODS, "default")
        assert caught.value.status == 401


async def test_tokens_expire_and_cannot_be_forged(running, client: Client) -> None:
    authenticator = running.server.authenticator
    account = await client.create(resources.SERVICE_ACCOUNTS, {"metadata": {"name": "bot", "namespace": "default"}})
    token = authenticator.issue(account, 600, [], None, 1000.0)
    assert authenticator.user(f"Bearer {token}", 1599.0) is not None
    assert authenticator.user(f"Bearer {token}", 1600.0) is None
    signed, _, signature = token.rpartition(".")
    forged = f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    for changed in (forged, token.replace(".", "_"), "", "a.b.c"):
        assert authenticator.user(f"Bearer {changed}", 1000.0) is None
    assert authenticator.user("Basic abc", 1000.0) is None


async def test_binding_and_eviction(client: Client) -> None:
    await client.create(resources.PODS, pod(node=""))
    binding = {"metadata": {"name": "p", "namespace": "default"}, "target": {"kind": "Node", "name": "n"}}
    await client.create(resources.PODS, binding, subresource="binding")
    assert (await client.get(resources.PODS, "p", "default"))["spec"]["nodeName"] == "n"
    with pytest.raises(ApiError, match="already assigned"):
        await client.create(resources.PODS, binding, subresource="binding")
    eviction = {"metadata": {"name": "p", "namespace": "default"}, "deleteOptions": {"gracePeriodSeconds": 0}}
    await client.create(resources.PODS, eviction, subresource="eviction")
    assert not (await client.list(resources.PODS)).items
