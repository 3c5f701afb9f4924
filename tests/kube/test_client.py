"""The client against a scripted HTTP server: paths, parameters, errors, watch lines of any cut."""

from __future__ import annotations

import contextlib
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tidegate.kube.api import ApiError, PatchKind, Unreachable
from tidegate.kube.client import Client
from tidegate.kube.connect import Connection
from tidegate.kube.resources import DEPLOYMENTS, NODES, PODS


@contextlib.asynccontextmanager
async def serving(handler):
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app) as server, Client(Connection(str(server.make_url("/")).rstrip("/"), token="t")) as it:
        yield it


async def test_verbs_use_the_paths_and_parameters_of_the_api_conventions():
    seen = []

    async def handler(request):
        seen.append((request.method, request.path_qs, request.headers.get("Content-Type", "")))
        assert request.headers["Authorization"] == "Bearer t"
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": []})

    async with serving(handler) as client:
        await client.get(PODS, "p", "ns")
        await client.list(NODES)
        await client.list(PODS, "ns", "a=b", "spec.nodeName=n")
        await client.list(NODES, limit=500, after="token=")
        await client.create(PODS, {"metadata": {"name": "p", "namespace": "ns"}})
        await client.replace(PODS, {"metadata": {"name": "p", "namespace": "ns"}}, subresource="status")
        await client.patch(DEPLOYMENTS, "d", {"spec": {"replicas": 1}}, "ns", subresource="scale")
        await client.patch(DEPLOYMENTS, "d", {}, "ns", kind=PatchKind.APPLY, manager="me", force=True)
        await client.delete(PODS, "p", "ns", uid="u", grace_s=0)
    json_type = "application/json"
    assert seen == [
        ("GET", "/api/v1/namespaces/ns/pods/p", ""),
        ("GET", "/api/v1/nodes", ""),
        ("GET", "/api/v1/namespaces/ns/pods?labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dn", ""),
        ("GET", "/api/v1/nodes?limit=500&continue=token%3D", ""),
        ("POST", "/api/v1/namespaces/ns/pods", json_type),
        ("PUT", "/api/v1/namespaces/ns/pods/p/status", json_type),
        ("PATCH", "/apis/apps/v1/namespaces/ns/deployments/d/scale?fieldManager=tidegate", PatchKind.MERGE.value),
        ("PATCH", "/apis/apps/v1/namespaces/ns/deployments/d?fieldManager=me&force=true", PatchKind.APPLY.value),
        ("DELETE", "/api/v1/namespaces/ns/pods/p", json_type),
    ]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, {"kind": "Status", "reason": "NotFound", "message": "pods p not found"}, "is_not_found"),
        (409, {"kind": "Status", "reason": "Conflict", "message": "old"}, "is_conflict"),
        (409, {"kind": "Status", "reason": "AlreadyExists", "message": "there"}, "is_already_exists"),
        (410, {"kind": "Status", "reason": "Expired", "message": "gone"}, "is_gone"),
    ],
)
async def test_status_objects_become_api_errors(status, body, expected):
    async def handler(request):
        return web.json_response(body, status=status)

    async with serving(handler) as client:
        with pytest.raises(ApiError) as caught:
            await client.get(PODS, "p", "ns")
    assert getattr(caught.value, expected)
    assert caught.value.message == body["message"]


async def test_an_answer_that_is_no_status_object_keeps_its_text():
    async def handler(request):
        return web.Response(status=503, text="no leader")

    async with serving(handler) as client:
        with pytest.raises(ApiError, match="no leader"):
            await client.get(PODS, "p", "ns")


async def test_nobody_there_is_unreachable():
    async with Client(Connection("http://127.0.0.1:1")) as client:
        with pytest.raises(Unreachable):
            await client.get(PODS, "p", "ns")


@pytest.mark.parametrize("cut", [1, 2, 7, 64, 1 << 20])
async def test_watch_lines_may_be_cut_anywhere(cut):
    events = [
        {"type": kind, "object": {"metadata": {"name": "é" * 40, "resourceVersion": str(number)}}}
        for number, kind in enumerate(["ADDED", "MODIFIED", "BOOKMARK", "DELETED"])
    ]
    stream = b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events)

    async def handler(request):
        assert request.query["resourceVersion"] == "5"
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(stream), cut):
            await response.write(stream[start : start + cut])
        return response

    async with serving(handler) as client:
        seen = [event async for event in client.watch(PODS, since="5")]
    assert [(event.type, event.object) for event in seen] == [(event["type"], event["object"]) for event in events]


async def test_an_error_event_ends_the_watch_with_its_status():
    async def handler(request):
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
        return web.Response(text=json.dumps({"type": "ERROR", "object": status}) + "\n")

    async with serving(handler) as client:
        with pytest.raises(ApiError) as caught:
            async for _ in client.watch(PODS):
                pass
    assert caught.value.is_gone


async def test_a_page_tells_what_leads_to_the_next():
    async def handler(_request):
        return web.json_response({"metadata": {"resourceVersion": "7", "continue": "token"}, "items": [{}]})

    async with serving(handler) as client:
        page = await client.list(PODS, limit=1)
    assert page == ([{"apiVersion": "v1", "kind": "Pod"}], "7", "token")


@pytest.mark.parametrize("name", ["../../other/secrets/key", "..", ".", "a/b", "a%2fb", "a?x=1", "a#b", "a b", "a\\b"])
async def test_a_name_that_no_object_can_have_is_not_found_and_never_a_path(name):
    """Names come from what users write; a path that leads elsewhere would be asked with our rights."""
    seen = []

    async def handler(request):
        seen.append(request.path)
        return web.json_response({})

    async with serving(handler) as client:
        for call in (client.get(PODS, name, "a"), client.get(PODS, "a", name)):
            with pytest.raises(ApiError) as found:
                await call
            assert found.value.is_not_found
    assert seen == []
    assert PODS.path("a", "system:node.1_x") == "/api/v1/namespaces/a/pods/system:node.1_x"
