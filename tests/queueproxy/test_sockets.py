"""queueproxy over real sockets: an app, the sidecar in this process, clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest

from queueproxy import drain, probe
from queueproxy.__main__ import serve
from queueproxy.config import Config
from tests.support.h2_peers import POST, H2Peer, echo, upstream
from tests.support.hops import App, Hop, client, free_port, listening, running
from tests.support.wire import Peer, ScriptedUpstream
from tidegate.contracts import report
from tidegate.process import settings, tasks


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to happen within a second happens late on a busy machine; where the end of it is tested it is short."""
    monkeypatch.setattr(probe, "HOLD_S", 60.0)
    monkeypatch.setattr(probe, "DETECT_LIMIT_S", 60.0)
    monkeypatch.setattr(drain, "NO_TERM_S", 60.0)


@contextlib.asynccontextmanager
async def sidecar(app_port: int, **environ: object) -> AsyncIterator[tuple[Hop, int]]:
    """Run a queueproxy in front of an app; gives the hop and the admin port."""
    port, admin_port = free_port(), free_port()
    values = {
        "QUEUE_SERVING_PORT": port,
        "TIDEGATE_ADMIN_PORT": admin_port,
        "TIDEGATE_METRICS_PORT": free_port(),
        "USER_PORT": app_port,
        "DRAIN_IDLE_SECONDS": 0,
        **environ,
    }
    config = settings.load(
        Config, program="queueproxy", argv=[], environ={name: str(value) for name, value in values.items()}
    )
    async with running(lambda stopping: serve(config, stopping), port) as hop:
        yield hop, admin_port


async def test_internal_headers_do_not_reach_the_app_and_the_host_does():
    async with App().running() as app, sidecar(app.port) as (hop, _), client() as fetch:
        reply = await fetch(
            hop.port,
            host="hello.default.example.com",
            k_proxy_request="activator",
            knative_serving_revision="hello-00001",
            knative_serving_namespace="default",
            x_tidegate_anything="1",
            x_forwarded_for="1.2.3.4",
        )
        assert (reply.status, reply.body) == (200, b"app")
        (head,) = app.heads
        assert head["host"] == "hello.default.example.com"
        assert head["x-forwarded-for"] == "1.2.3.4"
        assert not [name for name in head if name.startswith(("k-", "knative-", "x-tidegate-"))]


async def test_one_slot_ten_places_and_a_refusal():
    async with App().running() as app, sidecar(app.port, CONTAINER_CONCURRENCY=1) as (hop, _), client() as fetch:
        app.open.clear()
        asked = [tasks.spawn(fetch(hop.port), "request") for _ in range(14)]
        while sum(task.done() for task in asked) < 3:  # the refused ones: all have come
            await asyncio.sleep(0.005)
        app.open.set()
        replies = await asyncio.gather(*asked)
        assert Counter(reply.status for reply in replies) == {200: 11, 503: 3}
        assert {reply.reason for reply in replies if reply.status == 503} == {"queue_full"}
        assert app.peak == 1
        assert (await fetch(hop.port)).status == 200


async def test_the_timeout_counts_running_and_queueing():
    environ = {"CONTAINER_CONCURRENCY": 1, "REVISION_TIMEOUT_SECONDS": 0.3}
    async with App().running() as app, sidecar(app.port, **environ) as (hop, _), client() as fetch:
        app.open.clear()
        began = time.monotonic()
        replies = await asyncio.gather(fetch(hop.port), fetch(hop.port))
        assert [(reply.status, reply.reason) for reply in replies] == [(504, "request_timeout")] * 2
        assert replies[0].body == b"request timeout"
        assert time.monotonic() - began > 0.25


async def test_a_probe_is_held_until_the_app_accepts():
    app, app_port = App(), free_port()
    async with sidecar(app_port) as (hop, _), client() as fetch:
        held = [tasks.spawn(fetch(hop.port, k_network_probe="queue"), "probe") for _ in range(3)]
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in held)
        async with app.running(app_port):
            replies = await asyncio.gather(*held)
            assert [(reply.status, reply.body) for reply in replies] == [(200, b"queue")] * 3
            assert app.heads == []  # a TCP probe is no request


async def test_an_http_probe_asks_the_app():
    async with App().running() as app:
        probe = '{"httpGet":{"path":"/healthy","port":0}}'
        async with sidecar(app.port, SERVING_READINESS_PROBE=probe) as (hop, _), client() as fetch:
            assert (await fetch(hop.port, k_network_probe="queue")).body == b"queue"
            assert app.heads[0]["user-agent"].startswith("kube-probe/")


@pytest.mark.slow
async def test_an_app_that_does_not_come_up_is_not_ready(monkeypatch):
    monkeypatch.setattr(probe, "HOLD_S", 0.5)
    async with sidecar(free_port()) as (hop, _), client() as fetch:
        assert (await fetch(hop.port, k_network_probe="queue")).status == 503
        reply = await fetch(hop.port)
        assert (reply.status, reply.reason) == (502, "upstream_connect_failed")


async def test_the_drain_serves_to_the_end_and_tells_the_user_container():
    async with App().running() as app, sidecar(app.port) as (hop, admin), client() as fetch:
        app.open.clear()
        running_request = tasks.spawn(fetch(hop.port), "request")
        pre_stop = tasks.spawn(fetch(admin, "/wait-for-drain"), "pre-stop")
        while not app.in_flight:
            await asyncio.sleep(0.005)
        hop.stopping.set()
        while (await fetch(admin, "/readyz")).status != 503:
            await asyncio.sleep(0.005)
        assert (await fetch(hop.port, k_network_probe="queue")).status == 503
        assert not pre_stop.done()
        app.open.set()
        assert (await running_request).status == 200
        assert (await pre_stop).body == b"drained\n"
        await asyncio.wait_for(hop.task, 30)


async def test_the_app_is_told_to_go_when_only_websockets_are_left_and_ends_them_itself():
    environ = {"DRAIN_QUIET_SECONDS": 0.05}
    async with (
        App().running() as app,
        sidecar(app.port, **environ) as (hop, admin),
        client() as fetch,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{hop.port}/socket") as connection,
    ):
        app.open.clear()
        pre_stop = tasks.spawn(fetch(admin, "/wait-for-drain"), "pre-stop")
        request = tasks.spawn(fetch(hop.port), "request")
        while not app.in_flight:
            await asyncio.sleep(0.005)
        hop.stopping.set()
        while (await fetch(admin, "/readyz")).status != 503:
            await asyncio.sleep(0.005)
        app.open.set()
        assert (await asyncio.wait_for(pre_stop, 30)).body == b"drained\n"
        assert (await request).status == 200
        await connection.send_str("still here")
        assert await connection.receive_str(timeout=30) == "still here"
        await connection.close()
        await asyncio.wait_for(hop.task, 30)


async def test_reports_reach_the_autoscaler():
    frames: asyncio.Queue[report.Message] = asyncio.Queue()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                body = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
                if body:
                    frames.put_nowait(report.decode(body))
        writer.close()

    autoscaler = await asyncio.start_server(read, "127.0.0.1", 0)
    address = f"127.0.0.1:{autoscaler.sockets[0].getsockname()[1]}"
    environ = {
        "AUTOSCALER_ADDRESS": address,
        "REPORT_TOKEN": "secret",
        "SERVING_NAMESPACE": "default",
        "SERVING_REVISION": "hello-00001",
        "SERVING_POD": "hello-1",
    }
    async with App().running() as app, sidecar(app.port, **environ) as (hop, _), client() as fetch:
        hello = await asyncio.wait_for(frames.get(), 30)
        assert hello == report.Hello(
            "queueproxy", "hello-1", "default", "hello-00001", "secret", hello.session, report.VERSION
        )
        await asyncio.gather(*(fetch(hop.port, "/?ms=1200", k_proxy_request="activator") for _ in range(2)))
        seen: list[report.Report] = []
        while sum(item.proxied_requests for item in seen) < 2 or seen[-1].in_flight:
            item = await asyncio.wait_for(frames.get(), 30)
            assert isinstance(item, report.Report)
            seen.append(item)
        assert sum(item.concurrency * item.interval_s for item in seen) > 2.3  # each took as long as the app, or longer
        assert sum(item.proxied_requests for item in seen) == 2
    autoscaler.close()
    await autoscaler.wait_closed()


async def test_metrics_and_settings_are_shown_without_the_token():
    async with App().running() as app, sidecar(app.port, REPORT_TOKEN="secret") as (hop, admin), client() as fetch:
        await fetch(hop.port)
        metrics = (await fetch(admin, "/metrics")).body
        assert b'tidegate_queueproxy_requests_total{code_class="2xx",reason=""} 1.0' in metrics
        assert b"secret" not in (await fetch(admin, "/config")).body


@pytest.mark.slow
async def test_as_a_process_it_ends_with_zero_on_sigterm():
    async with App().running() as app, client() as fetch:
        port = free_port()
        environ = os.environ | {
            "QUEUE_SERVING_PORT": str(port),
            "USER_PORT": str(app.port),
            "TIDEGATE_ADMIN_PORT": str(free_port()),
            "TIDEGATE_METRICS_PORT": str(free_port()),
            "DRAIN_IDLE_SECONDS": "0",
        }
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "queueproxy", env=environ)
        try:
            await listening(port)
            assert (await fetch(port)).body == b"app"
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_http2_reaches_an_app_that_speaks_http1_only():
    async with App().running() as app, sidecar(app.port) as (hop, _):
        peer = H2Peer(await Peer.connect(hop.port), is_client=True)
        headers, body, _ = await peer.answer(peer.ask([*POST, ("k-proxy-request", "activator")], b"hello"))
        assert (headers[":status"], body) == ("200", b"5")
        assert "k-proxy-request" not in app.heads[0]
        peer.close()


@contextlib.asynccontextmanager
async def h2c_app(script=echo):
    """Give an app that speaks HTTP/2 in clear text and nothing else, and what it was asked."""
    app = ScriptedUpstream(upstream(script))
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


AUTO = {"ENABLE_HTTP2_AUTO_DETECTION": "true"}
PROBE = {"K_Network_Probe": "queue"}


@pytest.mark.parametrize("environ", [{"USER_PROTOCOL": "h2c"}, AUTO])
async def test_an_app_that_speaks_only_h2c_is_reached_from_either_version(environ):
    async with h2c_app() as app, sidecar(app.port, **environ) as (hop, _), client() as fetch:
        assert (await fetch(hop.port, **PROBE)).status == 200
        assert (await fetch(hop.port, method="POST", data=b"by http1")).body == b"by http1"
        peer = H2Peer(await Peer.connect(hop.port), is_client=True)
        assert (await peer.answer(peer.ask(POST, b"by http2")))[1:] == (b"by http2", {"x-after": "done"})
        peer.close()


async def test_an_app_that_speaks_http1_is_left_alone_by_detection():
    async with App().running() as app, sidecar(app.port, **AUTO) as (hop, _), client() as fetch:
        assert (await fetch(hop.port, **PROBE)).status == 200
        assert (await fetch(hop.port)).body == b"app"
        peer = H2Peer(await Peer.connect(hop.port), is_client=True)
        assert (await peer.answer(peer.ask(POST, b"hello")))[1] == b"5"
        peer.close()


async def test_a_get_probe_of_an_h2c_app_is_sent_by_h2c():
    probe = '{"httpGet": {"path": "/ok"}}'
    environ = {"USER_PROTOCOL": "h2c", "SERVING_READINESS_PROBE": probe}
    async with h2c_app() as app, sidecar(app.port, **environ) as (hop, _), client() as fetch:
        assert (await fetch(hop.port, **PROBE)).status == 200


async def test_an_upgrade_goes_by_http1_whatever_the_ports_name():
    async with (
        App().running() as app,
        sidecar(app.port, USER_PROTOCOL="h2c") as (hop, _),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{hop.port}/socket") as connection,
    ):
        await connection.send_str("hello")
        assert await connection.receive_str(timeout=30) == "hello"


FIELDS = ("Request.RequestURI", "Response.Code", "Response.Size", "Revision.PodName")
LOG_ON = {
    "logging.enable-request-log": "true",
    "logging.request-log-template": " ".join("{{." + name + "}}" for name in FIELDS),
}


@pytest.mark.parametrize("probes", ["false", "true"])
async def test_the_request_log_has_sizes_and_probes_when_asked_for(probes, monkeypatch):
    written: list[str] = []
    monkeypatch.setattr("tidegate.wire.request_log._to_standard_output", written.append)
    environ = {
        "SERVING_POD": "hello-pod",
        "OBSERVABILITY_CONFIG": json.dumps(LOG_ON | {"logging.enable-probe-request-log": probes}),
    }
    async with App("12345").running() as app, sidecar(app.port, **environ) as (hop, _), client() as fetch:
        assert (await fetch(hop.port, "/first?a=b")).status == 200
        assert (await fetch(hop.port, "/second", method="POST", data=b"x" * 100)).body == b"100"
        assert (await fetch(hop.port, "/probe", k_network_probe="queue")).status == 200
        assert (await fetch(hop.port, "/kubelet", user_agent="kube-probe/1.31")).status == 200
        hop.stopping.set()
        await asyncio.wait([hop.task])
    lines = "".join(written).splitlines()
    asked = ["/first?a=b 200 5 hello-pod", "/second 200 3 hello-pod"]
    assert lines == ([*asked, "/probe 200 5 hello-pod", "/kubelet 200 5 hello-pod"] if probes == "true" else asked)
