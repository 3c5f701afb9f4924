"""metrics.k8s.io: what nodes and pods use, made from what a scripted node tells."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from cluster.controllers import usage
from tests.cluster.api.conftest import Running, acting_as
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object
from tidegate.kube.client import Client

PATH = "/apis/metrics.k8s.io/v1beta1"


def told(look: int) -> Object:
    """Return the node's answer number `look`: at each the pod has worked a thousand seconds more."""
    used = {"cpu": {"usageCoreNanoSeconds": look * 10**12}, "memory": {"workingSetBytes": 5 << 20}}
    pods = [{"podRef": {"namespace": "default", "name": "p"}, "containers": [{"name": "c", **used}]}]
    return {"node": {"nodeName": "n", **used}, "pods": pods}


@pytest.fixture
async def node(client: Client) -> AsyncIterator[None]:
    looks = itertools.count(1)

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(told(next(looks)))

    application = web.Application()
    application.router.add_get("/stats/summary", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": runner.addresses[0][1]}},
    }
    await client.create(resources.NODES, {"metadata": {"name": "n"}, "status": status})
    await client.create(resources.NODES, {"metadata": {"name": "mute"}})
    for name, on in (("p", "n"), ("new", "n"), ("far", "mute")):
        metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
        spec = {"nodeName": on, "containers": [{"name": "c", "image": "x"}]}
        await client.create(resources.PODS, {"metadata": metadata, "spec": spec})
    yield
    await runner.cleanup()


async def get(client: Client, path: str, **query: str) -> Object:
    found: Object = json.loads(await client.raw("GET", PATH + path, params=query))
    return found


async def test_pods_and_nodes_that_tell_are_listed(client: Client, node: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "FIRST_WINDOW_S", 0.01)
    listed = await get(client, "/namespaces/default/pods")
    assert (listed["kind"], listed["apiVersion"]) == ("PodMetricsList", "metrics.k8s.io/v1beta1")
    (one,) = listed["items"]
    assert one["kind"] == "PodMetrics"
    assert (one["metadata"]["name"], one["metadata"]["labels"]) == ("p", {"app": "p"})
    (container,) = one["containers"]
    assert container["usage"]["memory"] == "5120Ki"
    window_s = float(one["window"].removesuffix("s"))
    cores = int(container["usage"]["cpu"].removesuffix("n")) / 1e9
    assert cores * window_s == pytest.approx(1000, rel=0.2)
    (everywhere,) = (await get(client, "/pods"))["items"]
    # Its time is another one when the node was looked at again meanwhile.
    assert everywhere["metadata"] | {"creationTimestamp": one["timestamp"]} == one["metadata"]
    assert (await get(client, "/pods", labelSelector="app=new"))["items"] == []
    assert (await get(client, "/namespaces/default/pods/p"))["kind"] == "PodMetrics"
    (machine,) = (await get(client, "/nodes"))["items"]
    assert (machine["kind"], machine["metadata"]["name"], machine["usage"]["memory"]) == ("NodeMetrics", "n", "5120Ki")
    for path in ("/namespaces/default/pods/far", "/namespaces/default/pods/gone", "/nodes/mute"):
        with pytest.raises(ApiError, match="not found") as caught:
            await get(client, path)
        assert caught.value.status == 404
    with pytest.raises(ApiError) as caught:
        await client.raw("DELETE", f"{PATH}/nodes/n")
    assert caught.value.status == 405


async def test_the_group_is_found_and_guarded(running: Running, client: Client) -> None:
    found = json.loads(await client.raw("GET", PATH))
    assert [(one["name"], one["kind"], one["verbs"]) for one in found["resources"]] == [
        ("nodes", "NodeMetrics", ["get", "list"]),
        ("pods", "PodMetrics", ["get", "list"]),
    ]
    async with acting_as(running, "default", "bot") as bot:
        with pytest.raises(ApiError) as caught:
            await get(bot, "/namespaces/default/pods")
        assert caught.value.status == 403
