"""The gateway over real sockets, alone and with all three hops in a row; only the API server is scripted."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest

from activator.__main__ import serve as serve_activator
from activator.config import Config as ActivatorConfig
from gateway.__main__ import serve
from gateway.config import Config
from gateway.ports import Ports
from queueproxy.__main__ import serve as serve_pod
from queueproxy.config import Config as PodConfig
from tests.support.fake_api import FakeApi
from tests.support.hops import App, Hop, client, free_port, running
from tests.support.serving import put_autoscaler, put_pods, put_revision, put_route, put_system
from tidegate.contracts import names, session_affinity
from tidegate.kube import resources
from tidegate.process import tasks

HOST = "hello.default.localhost"
REVISION = "hello-00001"


def ports() -> dict[str, int]:
    return {"admin_port": free_port(), "metrics_port": free_port()}


@contextlib.asynccontextmanager
async def gateway(api: FakeApi, **settings: object) -> AsyncIterator[Hop]:
    port = free_port()
    values = {**ports(), "listen": f"127.0.0.1:{port}", "drain_quiet_s": 0.0, **settings}
    config = Config(**values)  # type: ignore[arg-type]
    async with running(lambda stopping: serve(config, api, stopping), port) as hop:
        yield hop


@contextlib.asynccontextmanager
async def activator(api: FakeApi, port: int = 0) -> AsyncIterator[int]:
    port = port or free_port()
    config = ActivatorConfig(serving_port=port, drain_quiet_s=0.0, **ports())
    async with running(lambda stopping: serve_activator(config, api, stopping), port, admin=config.admin_port):
        put_system(api, names.ACTIVATOR_SERVICE, [("127.0.0.1", True)], port)
        yield port


@contextlib.asynccontextmanager
async def pod(app_port: int) -> AsyncIterator[int]:
    port = free_port()
    config = PodConfig(serving_port=port, user_port=app_port, drain_idle_s=0.0, **ports())
    async with running(lambda stopping: serve_pod(config, stopping), port):
        yield port


@pytest.fixture
async def api():
    fake = FakeApi()
    put_route(fake, "hello", [{"revisionName": REVISION, "percent": 100}])
    put_revision(fake, REVISION)
    return fake


async def test_a_warm_request_goes_straight_to_the_pod(api):
    async with App().running() as app, pod(app.port) as port, client() as fetch:
        put_autoscaler(api, REVISION, "Serve")
        put_pods(api, REVISION, [("127.0.0.1", True)], port=port)
        async with gateway(api) as hop:
            reply = await fetch(
                hop.port, host="Hello.Default.Localhost:8080", x_forwarded_for="6.6.6.6", k_proxy_request="x"
            )
            assert (reply.status, reply.body) == (200, b"app")
            (head,) = app.heads
            assert head["host"] == "Hello.Default.Localhost:8080"
            assert head["x-forwarded-for"] == "127.0.0.1"
            assert head["x-forwarded-host"] == "Hello.Default.Localhost:8080"
            assert head["x-forwarded-proto"] == "http"
            assert head["forwarded"].startswith("for=127.0.0.1")
            assert head["traceparent"].endswith("-00")
            assert not [name for name in head if name.startswith(("k-", "knative-"))]


async def test_probes_pass_all_three_hops_when_awake_and_wake_nobody(api):
    scrape = {"host": HOST, "user_agent": "Prometheus/3.0"}
    async with contextlib.AsyncExitStack() as stack:
        app = await stack.enter_async_context(App().running())
        port = await stack.enter_async_context(pod(app.port))
        await stack.enter_async_context(activator(api))
        hop = await stack.enter_async_context(gateway(api, probe_user_agents="Prometheus/"))
        fetch = await stack.enter_async_context(client())
        reply = await fetch(hop.port, **scrape)
        assert (reply.status, reply.reason) == (503, "asleep")
        put_pods(api, REVISION, [("127.0.0.1", True)], port=port)
        await api.delivered()
        assert (await fetch(hop.port, **scrape)).status == 200  # through the activator
        put_autoscaler(api, REVISION, "Serve")
        await api.delivered()
        assert (await fetch(hop.port, **scrape)).status == 200  # straight to the pod
        assert len(app.heads) == 2
        assert not [name for head in app.heads for name in head if name.startswith("x-tidegate-")]


async def test_a_session_stays_with_its_pod(api):
    async with contextlib.AsyncExitStack() as stack:
        apps = [await stack.enter_async_context(App(name).running()) for name in "ab"]
        for app in apps:
            port = await stack.enter_async_context(pod(app.port))
            put_pods(api, REVISION, [("127.0.0.1", True)], port=port, name=f"slice-{app.name}")
        annotations = {session_affinity.ANNOTATION: "cookie"}
        metadata = {"name": REVISION, "namespace": "default", "annotations": annotations}
        api.put(resources.POD_AUTOSCALERS, {"metadata": metadata, "spec": {}, "status": {"servingMode": "Proxy"}})
        hop = await stack.enter_async_context(gateway(api))
        fetch = await stack.enter_async_context(client())
        first = await fetch(hop.port, host=HOST)
        cookie = first.headers["set-cookie"]
        assert "HttpOnly; SameSite=Lax" in cookie
        for _ in range(20):
            reply = await fetch(hop.port, host=HOST, cookie=cookie.partition(";")[0])
            assert (reply.body, "set-cookie" in reply.headers) == (first.body, False)


async def test_an_unknown_host_is_404(api):
    async with gateway(api) as hop, client() as fetch:
        reply = await fetch(hop.port, host="nobody.example.com")
        assert (reply.status, reply.reason) == (404, "no_route")


async def test_from_zero_through_all_three_hops(api):
    app, app_port = App(), free_port()
    admin = free_port()
    async with activator(api), gateway(api, admin_port=admin) as hop, client() as fetch:
        burst = [tasks.spawn(fetch(hop.port, "/?ms=5", host=HOST), "request") for _ in range(50)]
        while (await fetch(admin, "/wakes")).body.count(b'"revision":"hello-00001"') < len(burst):
            await asyncio.sleep(0.01)
        assert not any(request.done() for request in burst)
        async with pod(app_port) as port:
            put_pods(api, REVISION, [("127.0.0.1", False)], port=port)  # an address, not ready yet
            async with app.running(app_port):
                assert Counter(reply.status for reply in await asyncio.gather(*burst)) == {200: 50}
                put_pods(api, REVISION, [("127.0.0.1", True)], port=port)
                put_autoscaler(api, REVISION, "Serve")
                await api.delivered()
                assert (await fetch(hop.port, host=HOST)).status == 200
        wakes = (await fetch(admin, "/wakes")).body
        assert wakes.count(b'"revision":"hello-00001"') == 50


async def test_a_thousand_requests_are_split_exactly(api):
    traffic = [{"revisionName": "a", "percent": 80}, {"revisionName": "b", "percent": 20}]
    tagged = {"revisionName": "c", "percent": 0, "tag": "next", "url": "http://next-hello.default.localhost"}
    put_route(api, "hello", [*traffic, tagged])
    async with contextlib.AsyncExitStack() as stack:
        for name in "abc":
            app = await stack.enter_async_context(App(name).running())
            port = await stack.enter_async_context(pod(app.port))
            put_autoscaler(api, name, "Serve")
            put_pods(api, name, [("127.0.0.1", True)], port=port)
        hop = await stack.enter_async_context(gateway(api))
        fetch = await stack.enter_async_context(client())
        seen: Counter[bytes] = Counter()
        for _ in range(10):
            seen.update(reply.body for reply in await asyncio.gather(*(fetch(hop.port, host=HOST) for _ in range(100))))
        assert seen == {b"a": 800, b"b": 200}
        assert (await fetch(hop.port, host="next-hello.default.localhost")).body == b"c"


async def test_an_activator_that_is_restarted_is_waited_for(api):
    port = free_port()
    put_system(api, names.ACTIVATOR_SERVICE, [("127.0.0.1", True)], port)
    async with (
        App().running() as app,
        pod(app.port) as pod_port,
        gateway(api, activator_wait_s=60.0) as hop,
        client() as fetch,
    ):
        put_pods(api, REVISION, [("127.0.0.1", False)], port=pod_port)
        held = tasks.spawn(fetch(hop.port, host=HOST), "request")
        await asyncio.sleep(0.3)
        assert not held.done()
        async with activator(api, port):
            assert (await held).status == 200


async def test_without_any_activator_it_is_503(api):
    async with gateway(api, activator_wait_s=0.2) as hop, client() as fetch:
        reply = await fetch(hop.port, host=HOST)
        assert (reply.status, reply.reason) == (503, "no_activator")
        assert reply.headers["retry-after"] == "1"


async def test_an_upload_and_an_answer_pass_whole(api):
    async with App().running() as app, pod(app.port) as port, activator(api), gateway(api) as hop, client() as fetch:
        put_pods(api, REVISION, [("127.0.0.1", True)], port=port)
        body = os.urandom(3_000_000)
        reply = await fetch(hop.port, host=HOST, method="POST", data=body)
        assert (reply.status, reply.body) == (200, b"3000000")


async def test_a_websocket_passes_all_three_hops_and_counts_while_it_lives(api):
    async with App().running() as app, pod(app.port) as port, activator(api):
        put_pods(api, REVISION, [("127.0.0.1", True)], port=port)
        admin = free_port()
        async with gateway(api, admin_port=admin) as hop, client() as fetch, aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{hop.port}/socket"
            async with session.ws_connect(url, headers={"Host": HOST}) as connection:
                for number in range(20):
                    await connection.send_str(f"message {number}")
                    assert await connection.receive_str(timeout=30) == f"message {number}"
                assert b"tidegate_gateway_requests_in_flight 1.0" in (await fetch(admin, "/metrics")).body
            async with asyncio.timeout(30):
                while b"tidegate_gateway_requests_in_flight 0.0" not in (await fetch(admin, "/metrics")).body:
                    await asyncio.sleep(0.01)


async def test_events_arrive_one_by_one(api):
    async with App().running() as app, pod(app.port) as port, activator(api), gateway(api) as hop:
        put_pods(api, REVISION, [("127.0.0.1", True)], port=port)
        url = f"http://127.0.0.1:{hop.port}/ticks"
        async with aiohttp.ClientSession() as session:
            app.next_tick.set()
            async with session.get(url, headers={"Host": HOST}) as response:
                for number in range(3):
                    assert await asyncio.wait_for(response.content.readline(), 30) == f"data: {number}\n".encode()
                    await response.content.readline()
                    app.next_tick.set()


async def test_a_client_that_leaves_is_told_to_the_app(api):
    async with App().running() as app, pod(app.port) as port, activator(api), gateway(api) as hop, client() as fetch:
        put_pods(api, REVISION, [("127.0.0.1", True)], port=port)
        app.open.clear()
        leaving = tasks.spawn(fetch(hop.port, host=HOST), "leaving")
        async with asyncio.timeout(30):
            while not app.in_flight:
                await asyncio.sleep(0.005)
        await tasks.cancel(leaving)
        async with asyncio.timeout(30):
            while app.in_flight:
                await asyncio.sleep(0.005)


async def test_a_draining_gateway_serves_what_it_has(api):
    async with App().running() as app, pod(app.port) as port, client() as fetch:
        put_autoscaler(api, REVISION, "Serve")
        put_pods(api, REVISION, [("127.0.0.1", True)], port=port)
        async with gateway(api) as hop:
            app.open.clear()
            request = tasks.spawn(fetch(hop.port, host=HOST), "request")
            while not app.in_flight:
                await asyncio.sleep(0.005)
            hop.stopping.set()
            with contextlib.suppress(OSError):
                while True:  # until it accepts no more
                    (await asyncio.open_connection("127.0.0.1", hop.port))[1].close()
            app.open.set()
            assert (await request).status == 200
            await asyncio.wait_for(hop.task, 30)


async def test_the_gateway_is_ready_only_when_its_port_is_open(api, monkeypatch):
    opening, opened = asyncio.Event(), asyncio.Event()
    start = Ports.start

    async def start_late(self: Ports, **options: object) -> None:
        opening.set()
        await opened.wait()
        await start(self, **options)

    monkeypatch.setattr(Ports, "start", start_late)
    admin_port = free_port()
    async with client() as fetch:

        async def release() -> tuple[int, bytes]:
            await opening.wait()
            reply = await fetch(admin_port, "/readyz")
            opened.set()
            return reply.status, reply.body

        releasing = asyncio.ensure_future(release())
        async with gateway(api, admin_port=admin_port):
            assert await releasing == (503, b"not listening yet\n")
            assert (await fetch(admin_port, "/readyz")).status == 200


async def test_a_header_names_a_tag_where_config_features_allows_it(api):
    async with App("a").running() as first, App("b").running() as second, client() as fetch:
        for revision, app in ((REVISION, first), ("hello-00002", second)):
            put_revision(api, revision)
            put_autoscaler(api, revision, "Serve")
            put_pods(api, revision, [("127.0.0.1", True)], port=app.port)
        put_route(
            api,
            "hello",
            [
                {"revisionName": REVISION, "percent": 100},
                {"revisionName": "hello-00002", "tag": "next", "url": f"http://next-{HOST}"},
            ],
        )
        async with gateway(api) as hop:

            async def answers(tag: str) -> str:
                return (await fetch(hop.port, host=HOST, knative_serving_tag=tag)).body.decode()

            assert await answers("next") == "a"
            metadata = {"name": names.CONFIG_FEATURES, "namespace": names.SYSTEM_NAMESPACE}
            api.put(resources.CONFIG_MAPS, {"metadata": metadata, "data": {"tag-header-based-routing": "Enabled"}})
            async with asyncio.timeout(30):
                while await answers("next") != "b":
                    await asyncio.sleep(0.01)
            assert await answers("unknown") == "a"
            assert first.heads[-1]["knative-serving-default-route"] == "true"
            assert (await fetch(hop.port, host=f"next-{HOST}")).body == b"b"
            assert second.heads[-1]["knative-serving-tag"] == "next"
            assert "knative-serving-default-route" not in second.heads[-1]
            for claimed in ("next", "unknown"):
                reply = await fetch(hop.port, host=f"next-{HOST}", knative_serving_tag=claimed)
                assert reply.body == b"b"
                assert second.heads[-1]["knative-serving-tag"] == "next", "the host's, once, and not the client's"
            await answers("unknown")
            assert first.heads[-1]["knative-serving-tag"] == "unknown", "as the client asked, beside the default route"
            assert second.heads[-1]["knative-serving-tag"] == "next"
            assert "knative-serving-default-route" not in second.heads[-1]


async def test_what_is_cluster_local_cannot_be_reached_by_the_public_port_whatever_the_host(api):
    full = "inner.default.svc.cluster.local"
    put_route(api, "inner", [{"revisionName": REVISION, "percent": 100}], url=f"http://{full}")
    put_autoscaler(api, REVISION, "Serve")
    async with contextlib.AsyncExitStack() as stack:
        app = await stack.enter_async_context(App().running())
        put_pods(api, REVISION, [("127.0.0.1", True)], port=await stack.enter_async_context(pod(app.port)))
        local_port = free_port()
        hop = await stack.enter_async_context(gateway(api, local_port=local_port))
        fetch = await stack.enter_async_context(client())
        for host in (full, full.upper(), f"{full}:80", f"{full}.", "inner.default", "inner.default.svc"):
            for more in ({}, {"x_forwarded_host": full, "k_original_host": full, "forwarded": f"host={full}"}):
                reply = await fetch(hop.port, host=host, **more)
                assert (reply.status, reply.reason) == (404, "no_route"), (host, more)
        assert (await fetch(local_port, host=full)).status == 200
        assert (await fetch(local_port, host=HOST)).status == 200
        assert len(app.heads) == 2
