"""gRPC and HTTP/2 through all three hops; only the API server is scripted."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

pytest.importorskip("grpc")

from activator.__main__ import serve as serve_activator
from activator.config import Config as ActivatorConfig
from gateway.__main__ import serve
from gateway.config import Config
from queueproxy.__main__ import serve as serve_pod
from queueproxy.config import Config as PodConfig
from tests.support.fake_api import FakeApi
from tests.support.grpc_apps import GrpcApp, channel, check_every_shape
from tests.support.h2_peers import echo, upstream
from tests.support.hops import client, free_port, running
from tests.support.serving import put_autoscaler, put_pods, put_revision, put_route, put_system
from tests.support.wire import ScriptedUpstream
from tidegate.contracts import names

HOST = "hello.default.localhost"
REVISION = "hello-00001"


def ports() -> dict[str, int]:
    return {"admin_port": free_port(), "metrics_port": free_port()}


@contextlib.asynccontextmanager
async def three_hops(app_port: int) -> AsyncIterator[int]:
    api = FakeApi()
    put_route(api, "hello", [{"revisionName": REVISION, "percent": 100}])
    put_revision(api, REVISION)
    put_autoscaler(api, REVISION, "Proxy")
    pod_port, activator_port, port = free_port(), free_port(), free_port()
    pod = PodConfig(
        serving_port=pod_port, user_port=app_port, user_protocol="h2c", drain_idle_s=0.0, timeout_s=30.0, **ports()
    )
    activator = ActivatorConfig(serving_port=activator_port, drain_quiet_s=0.0, **ports())
    gateway = Config(listen=f"127.0.0.1:{port}", drain_quiet_s=0.0, **ports())
    put_pods(api, REVISION, [("127.0.0.1", True)], port=pod_port)
    async with (
        running(lambda stopping: serve_pod(pod, stopping), pod_port),
        running(lambda stopping: serve_activator(activator, api, stopping), activator_port, admin=activator.admin_port),
    ):
        put_system(api, names.ACTIVATOR_SERVICE, [("127.0.0.1", True)], activator_port)
        async with running(lambda stopping: serve(gateway, api, stopping), port):
            yield port


async def test_an_app_that_speaks_only_h2c_serves_http1_clients_through_all_hops():
    app = ScriptedUpstream(upstream(echo))
    await app.start()
    async with three_hops(app.port) as port, client() as fetch:
        for body in (b"small", bytes(15_000)):
            assert (await fetch(port, host=HOST, method="POST", data=body)).body == body
    await app.stop()


async def test_every_shape_of_call_through_gateway_activator_and_queueproxy():
    async with GrpcApp().running() as app, three_hops(app.port) as port, channel(port, HOST) as calls:
        await check_every_shape(app, calls)
        assert not [name for name in app.metadata[-1] if name.startswith(("k-", "knative-", "x-tidegate-"))]
        assert "127.0.0.1" in app.metadata[-1]["x-forwarded-for"]
