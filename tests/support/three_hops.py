"""gateway → activator → queueproxy in this process, on real sockets; the API server is a fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from activator.__main__ import serve as serve_activator
from activator.config import Config as ActivatorConfig
from gateway.__main__ import serve
from gateway.config import Config
from queueproxy.__main__ import serve as serve_pod
from queueproxy.config import Config as PodConfig
from tests.support.authority import Authority
from tests.support.fake_api import FakeApi
from tests.support.hops import Hop, free_port, running
from tests.support.serving import put_autoscaler, put_pods, put_revision, put_route, put_system, put_system_tls
from tidegate.contracts import names
from tidegate.kube import resources

HOST = "hello.default.localhost"
REVISION = "hello-00001"


@dataclass
class Row:
    """The running hops. The pod is not known to the others before `show_pod`."""

    api: FakeApi
    port: int
    pod_port: int
    metrics_ports: dict[str, int]
    hops: dict[str, Hop]

    tls_port: int = 0

    def show_pod(self) -> None:
        put_pods(self.api, REVISION, [("127.0.0.1", True)], port=self.pod_port, tls_port=self.tls_port)

    async def holds(self, fetch: Callable[..., Awaitable[Any]], count: int) -> None:
        """Return once so many requests are in the activator's waiting rooms."""
        line = f"tidegate_activator_requests_waiting {float(count)}".encode()
        while line not in (await fetch(self.metrics_ports["activator"], "/metrics")).body.splitlines():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def three_hops(
    app_port: int,
    *,
    mode: str = "Proxy",
    concurrency: int = 0,
    pod: dict[str, Any] | None = None,
    held: dict[str, Any] | None = None,
    edge: dict[str, Any] | None = None,
    observability: dict[str, str] | None = None,
    authority: Authority | None = None,
    certificates: str = "",
    **everywhere: Any,
) -> AsyncIterator[Row]:
    """Run them; `pod`, `held`, `edge`: settings of queueproxy, activator, gateway; `everywhere`: of all three.

    With an `authority` they speak TLS to each other; `certificates` is the folder with the pod's.
    """
    api = FakeApi()
    put_route(api, "hello", [{"revisionName": REVISION, "percent": 100}])
    put_revision(api, REVISION, containerConcurrency=concurrency)
    put_autoscaler(api, REVISION, mode, concurrency)
    if observability is not None:
        metadata = {"name": names.CONFIG_OBSERVABILITY, "namespace": names.SYSTEM_NAMESPACE}
        api.put(resources.CONFIG_MAPS, {"metadata": metadata, "data": observability})
    front, middle, back = free_port(), free_port(), free_port()
    tls_ports = (free_port(), free_port()) if authority is not None else (0, 0)
    if authority is not None:
        put_system_tls(api, authority)
        pod = {"tls_port": tls_ports[1], "certificates": certificates} | (pod or {})
        held = {"tls_port": tls_ports[0]} | (held or {})
    metrics = {hop: free_port() for hop in ("gateway", "activator", "queueproxy")}

    def common(hop: str) -> dict[str, Any]:
        return {"admin_port": free_port(), "metrics_port": metrics[hop]} | everywhere

    own = {"service": "hello", "container_concurrency": concurrency, "drain_idle_s": 0.0} | (pod or {})
    sidecar = PodConfig(serving_port=back, user_port=app_port, **common("queueproxy"), **own)
    holder = ActivatorConfig(serving_port=middle, drain_quiet_s=0.0, **common("activator"), **(held or {}))
    gateway = Config(listen=f"127.0.0.1:{front}", drain_quiet_s=0.0, **common("gateway"), **(edge or {}))
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        last = await enter(running(lambda stopping: serve_pod(sidecar, stopping), back))
        middle_hop = await enter(
            running(lambda stopping: serve_activator(holder, api, stopping), middle, admin=holder.admin_port)
        )
        put_system(api, names.ACTIVATOR_SERVICE, [("127.0.0.1", True)], middle, tls_port=tls_ports[0])
        first = await enter(running(lambda stopping: serve(gateway, api, stopping), front))
        yield Row(
            api, front, back, metrics, {"gateway": first, "activator": middle_hop, "queueproxy": last}, tls_ports[1]
        )
