"""The activator over real sockets: a scripted API server, a listening autoscaler, pods that come late or are dead."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import pytest

from activator.__main__ import serve
from activator.config import Config
from queueproxy.__main__ import serve as serve_pod
from queueproxy.config import Config as PodConfig
from tests.support.fake_api import FakeApi
from tests.support.hops import App, Reply, client, free_port, running
from tests.support.serving import put_pods, put_revision, put_system
from tidegate.contracts import names, report
from tidegate.kube import resources
from tidegate.process import tasks

REVISION = "hello-00001"
ASKED = {"knative_serving_namespace": "default", "knative_serving_revision": REVISION}


class Activator(NamedTuple):
    port: int
    metrics_port: int

    async def holds(self, fetch: Callable[..., Awaitable[Reply]], count: int) -> None:
        """Return once exactly so many requests are in its waiting rooms."""
        line = f"tidegate_activator_requests_waiting {float(count)}".encode()
        while line not in (await fetch(self.metrics_port, "/metrics")).body.splitlines():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def activator(api: FakeApi, **settings: object) -> AsyncIterator[Activator]:
    made = Activator(free_port(), free_port())
    config = Config(
        serving_port=made.port,
        admin_port=free_port(),
        metrics_port=made.metrics_port,
        drain_quiet_s=0.0,
        **settings,  # type: ignore[arg-type]
    )
    async with running(lambda stopping: serve(config, api, stopping), made.port, admin=config.admin_port):
        yield made


@contextlib.asynccontextmanager
async def pod(app_port: int, concurrency: int = 0) -> AsyncIterator[int]:
    port = free_port()
    config = PodConfig(
        serving_port=port,
        admin_port=free_port(),
        metrics_port=free_port(),
        user_port=app_port,
        container_concurrency=concurrency,
        drain_idle_s=0.0,
    )
    async with running(lambda stopping: serve_pod(config, stopping), port):
        yield port


def show_pods(api: FakeApi, *ports: int, ready: bool = True) -> None:
    """List pods on several ports; an EndpointSlice has one port, so each pod has a slice."""
    for number, port in enumerate(ports):
        put_pods(api, REVISION, [("127.0.0.1", ready)], port=port, name=f"{REVISION}-{number}")


@pytest.fixture
async def api():
    fake = FakeApi()
    put_revision(fake, REVISION)
    return fake


async def test_a_cold_request_is_held_until_a_pod_appears(api):
    async with App().running() as app, activator(api) as hop, client() as fetch:
        held = tasks.spawn(fetch(hop.port, host="hello.default.localhost", **ASKED), "request")
        await hop.holds(fetch, 1)
        await asyncio.sleep(0.1)
        assert not held.done()
        async with pod(app.port) as port:
            show_pods(api, port)
            reply = await held
            assert (reply.status, reply.body) == (200, b"app")
            assert app.heads[-1]["host"] == "hello.default.localhost"


async def test_a_pod_that_is_not_ready_yet_is_used_as_soon_as_its_app_accepts(api):
    app, app_port = App(), free_port()
    async with activator(api) as hop, pod(app_port) as port, client() as fetch:
        show_pods(api, port, ready=False)
        held = tasks.spawn(fetch(hop.port, **ASKED), "request")
        await hop.holds(fetch, 1)
        await asyncio.sleep(0.2)
        assert not held.done()
        async with app.running(app_port):
            assert (await held).status == 200


async def test_a_burst_of_fifty_loses_nobody(api):
    async with App().running() as app, activator(api) as hop, client() as fetch:
        burst = [tasks.spawn(fetch(hop.port, "/?ms=5", **ASKED), "request") for _ in range(50)]
        await hop.holds(fetch, 50)
        async with pod(app.port) as port:
            show_pods(api, port, ready=False)
            assert Counter(reply.status for reply in await asyncio.gather(*burst)) == {200: 50}


async def test_pods_get_no_more_than_their_concurrency(api):
    put_revision(api, REVISION, containerConcurrency=2)
    async with App().running() as app, activator(api) as hop, pod(app.port, 2) as port, client() as fetch:
        show_pods(api, port)
        app.open.clear()
        burst = [tasks.spawn(fetch(hop.port, "/?ms=2", **ASKED), "request") for _ in range(40)]
        await hop.holds(fetch, 38)
        while app.in_flight < 2:
            await asyncio.sleep(0.005)
        app.open.set()
        assert Counter(reply.status for reply in await asyncio.gather(*burst)) == {200: 40}
        assert app.peak == 2


async def test_a_dead_pod_costs_nobody_a_request(api):
    async with App().running() as app, activator(api) as hop, pod(app.port) as port, client() as fetch:
        show_pods(api, free_port(), port)
        replies = [await fetch(hop.port, **ASKED) for _ in range(5)]
        assert [reply.status for reply in replies] == [200] * 5


async def test_a_client_that_leaves_frees_its_place(api):
    async with App().running() as app, activator(api, waiting_capacity=1) as hop, client() as fetch:
        with socket.create_connection(("127.0.0.1", hop.port)) as leaving:
            leaving.sendall(
                b"GET / HTTP/1.1\r\nHost: x\r\nKnative-Serving-Namespace: default\r\n"
                b"Knative-Serving-Revision: hello-00001\r\n\r\n"
            )
            await hop.holds(fetch, 1)
            assert (await fetch(hop.port, **ASKED)).reason == "waiting_room_full"
        await hop.holds(fetch, 0)
        held = tasks.spawn(fetch(hop.port, **ASKED), "request")
        await hop.holds(fetch, 1)
        async with pod(app.port) as port:
            show_pods(api, port)
            assert (await held).status == 200


@pytest.mark.parametrize("is_ready_first", [False, True])
async def test_the_answer_of_who_paid_a_cold_start_says_what_it_consisted_of(api, is_ready_first):
    own = ("Server-Timing", "app;dur=1")
    app, app_port = App(headers=[own, ("X-Tidegate-Start", "open=0 way=forked")]), free_port()
    clock = time.monotonic  # the activator's own
    async with activator(api) as hop, pod(app_port) as port, client() as fetch:
        began = clock()
        held = tasks.spawn(fetch(hop.port, **ASKED), "request")
        await hop.holds(fetch, 1)
        seen = clock()
        await asyncio.sleep(0.05)
        async with app.running(app_port):
            at_least_ms = 1000 * (clock() - seen)
            show_pods(api, port, ready=is_ready_first)
            paid = await held
            at_most_ms = 1000 * (clock() - began)
            later = await fetch(hop.port, x_tidegate_start="open=0 way=forked", **ASKED)
    (apps, ours) = paid.all("server-timing")
    assert apps == own[1]  # ours comes after the app's
    timing = dict(part.split(";dur=") for part in ours.split(", "))
    if not is_ready_first:  # else it may be answered before the pod is asked
        assert set(timing) >= {"wake-process-to-warm-up", "wake-ready", "wake-first-byte", "wake"}
    total = float(timing.pop("wake"))
    assert sum(map(float, timing.values())) == pytest.approx(total)
    assert at_least_ms <= total <= at_most_ms
    assert later.all("server-timing") == [own[1]]
    assert "x-tidegate-start" not in app.heads[-1]
    for reply in (paid, later):
        assert reply.all("x-tidegate-start") == []


@pytest.mark.parametrize(
    ("annotations", "config"), [({"tidegate.dev/wake-timing": "disabled"}, {}), ({}, {"wake-timing": "disabled"})]
)
async def test_nobody_has_to_tell_the_world_of_cold_starts(api, annotations, config):
    put_revision(api, REVISION, annotations=annotations)
    metadata = {"name": names.CONFIG_OBSERVABILITY, "namespace": names.SYSTEM_NAMESPACE}
    api.put(resources.CONFIG_MAPS, {"metadata": metadata, "data": config})
    async with App().running() as app, activator(api) as hop, pod(app.port) as port, client() as fetch:
        held = tasks.spawn(fetch(hop.port, **ASKED), "request")
        await hop.holds(fetch, 1)
        show_pods(api, port)
        assert (await held).all("server-timing") == []


async def test_who_waits_too_long_gets_504(api):
    put_revision(api, REVISION, timeoutSeconds=0.2)
    async with activator(api) as hop, client() as fetch:
        reply = await fetch(hop.port, **ASKED)
        assert (reply.status, reply.reason, reply.body) == (504, "activation_timeout", b"activator request timeout")


async def test_an_unknown_revision_is_404(api):
    async with activator(api, revision_wait_s=0.05) as hop, client() as fetch:
        reply = await fetch(hop.port, knative_serving_namespace="default", knative_serving_revision="nobody")
        assert (reply.status, reply.reason) == (404, "unknown_revision")


async def test_the_autoscaler_hears_of_the_first_request_at_once(api):
    frames: asyncio.Queue[report.Message] = asyncio.Queue()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                body = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
                if body:
                    frames.put_nowait(report.decode(body))
        writer.close()

    autoscaler = await asyncio.start_server(read, "127.0.0.1", 0)
    put_system(api, names.AUTOSCALER_SERVICE, [("127.0.0.1", True)], autoscaler.sockets[0].getsockname()[1], "reports")
    key = base64.b64encode(b"ab" * 32).decode()
    metadata = {"name": "report-key", "namespace": names.SYSTEM_NAMESPACE}
    api.put(resources.SECRETS, {"metadata": metadata, "data": {"key": key}})
    async with activator(api) as hop, client() as fetch:
        hello = await asyncio.wait_for(frames.get(), 30)
        assert isinstance(hello, report.Hello)
        assert report.is_token_valid(b"\xab" * 32, hello) and hello.revision == "*"
        held = tasks.spawn(fetch(hop.port, **ASKED), "request")
        first = await asyncio.wait_for(frames.get(), 30)
        assert isinstance(first, report.Report) and first.is_first and first.in_flight == 1
        await tasks.cancel(held)
    autoscaler.close()
    await autoscaler.wait_closed()
