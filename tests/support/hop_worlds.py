"""One hop of any kind with a scripted upstream behind it, run by its own `serve`; only the API server is a fake."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import activator.__main__ as activator_main
import gateway.__main__ as gateway_main
import queueproxy.__main__ as queueproxy_main
from activator.config import Config as ActivatorConfig
from gateway.config import Config as GatewayConfig
from queueproxy.config import Config as QueueproxyConfig
from tests.support.fake_api import FakeApi
from tests.support.hops import free_port, running
from tests.support.serving import put_autoscaler, put_pods, put_redirected_route, put_revision, put_route
from tests.support.wire import Peer, ScriptedUpstream, WireAnswer

HOPS = ("gateway", "activator", "queueproxy")
HOST = "hello.default.localhost"
REVISION = "hello-00001"
ROUTED = f"Knative-Serving-Namespace: default\r\nKnative-Serving-Revision: {REVISION}\r\n"
SHORT_S = 0.1


@dataclass
class World:
    """One hop with a scripted upstream behind it."""

    hop: str
    port: int
    metrics_port: int
    stopping: asyncio.Event
    upstream: ScriptedUpstream
    peers: list[Peer] = field(default_factory=list)

    async def send(self, raw: str) -> Peer:
        peer = await Peer.connect(self.port)
        self.peers.append(peer)
        peer.send(raw.encode("latin-1"))
        return peer

    async def ask(self, more: str = "", path: str = "/", host: str = HOST, method: str = "GET") -> WireAnswer:
        """Send a request that wants JSON, and read its answer."""
        return await (await self.begin(more, path, host, method)).answer()

    async def begin(self, more: str = "", path: str = "/", host: str = HOST, method: str = "GET") -> Peer:
        routed = "" if self.hop == "gateway" or more.startswith("K-Network-Probe") else ROUTED
        return await self.send(
            f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n{routed}{more}\r\n"
        )


async def hang(peer: Peer) -> None:
    await peer.head()
    await asyncio.sleep(60)


async def close(peer: Peer) -> None:
    await peer.head()


async def clear_text(peer: Peer) -> None:
    """Answer a hello of TLS in clear text."""
    await peer.exactly(1)
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await peer.gone()


async def never_there(peer: Peer) -> None:
    raise AssertionError("nobody connects")


@contextlib.asynccontextmanager
async def world(hop: str, script: Callable[[Peer], Awaitable[None]], **settings: object) -> AsyncIterator[World]:
    """Run one hop; a `script` of `never_there` leaves it without pods."""
    upstream = ScriptedUpstream(script)
    await upstream.start()
    port, admin_port, metrics_port = free_port(), free_port(), free_port()
    common = {"admin_port": admin_port, "metrics_port": metrics_port}
    api = FakeApi()
    revision = {key: settings.pop(key) for key in list(settings) if key.endswith("Seconds")}
    put_revision(api, REVISION, **revision)
    put_route(api, "hello", [{"revisionName": REVISION, "percent": 100}])
    if settings.pop("is_redirected", False):
        put_redirected_route(api, "hello", [{"revisionName": REVISION, "percent": 100}])
    put_autoscaler(api, REVISION, "Serve")
    if script is not never_there:
        tls_port = upstream.port if settings.pop("is_secure", False) else 0
        put_pods(api, REVISION, [("127.0.0.1", True)], port=upstream.port, tls_port=tls_port)
    if settings.pop("is_refusing", False):
        upstream._server.close()
    if hop == "gateway":
        wait = {"activator_wait_s": SHORT_S, "drain_timeout_s": SHORT_S, "drain_quiet_s": 0.0} | settings
        config = GatewayConfig(listen=f"127.0.0.1:{port}", **common, **wait)  # type: ignore[arg-type]
        serve = lambda stopping: gateway_main.serve(config, api, stopping)  # noqa: E731
    elif hop == "activator":
        drain = {"drain_timeout_s": SHORT_S, "drain_quiet_s": 0.0} | settings
        activator = ActivatorConfig(serving_port=port, **common, **drain)  # type: ignore[arg-type]
        serve = lambda stopping: activator_main.serve(activator, api, stopping)  # noqa: E731
    else:
        drain = {"drain_idle_s": 0.3} | settings
        sidecar = QueueproxyConfig(serving_port=port, user_port=upstream.port, **common, **drain)  # type: ignore[arg-type]
        serve = lambda stopping: queueproxy_main.serve(sidecar, stopping)  # noqa: E731
    try:
        async with running(serve, port, admin=admin_port if hop == "activator" else 0) as running_hop:
            made = World(hop, port, metrics_port, running_hop.stopping, upstream)
            try:
                yield made
            finally:
                for peer in made.peers:
                    peer.close()
    finally:
        await upstream.stop()
