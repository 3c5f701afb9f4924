"""A scripted API server for gateway and activator: `python -m bench.scripted_api PORT BACKEND_PORT ROUTES`.

It lists what a cluster with that many Services would list, every one with the same backend as its only ready pod, and
keeps watches open without an event. So both run as the processes that they are, and nothing but the data path moves.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from aiohttp import web

from tidegate.contracts import names
from tidegate.process import run

HOST = "hello.default.localhost"
REVISION = "hello-00001"
NAMESPACE = "default"


def objects(routes: int, backend_port: int) -> dict[str, list[dict[str, Any]]]:
    """Return what each plural lists."""
    services = ["hello", *(f"other-{number}" for number in range(1, routes))]
    return {
        "routes": [_route(name) for name in services],
        "revisions": [
            _named(f"{name}-00001") | {"spec": {"containers": [{"image": "app"}], "timeoutSeconds": 300}}
            for name in services
        ],
        "podautoscalers": [
            _named(f"{name}-00001") | {"spec": {"containerConcurrency": 0}, "status": {"servingMode": "Serve"}}
            for name in services
        ],
        "endpointslices": [_slice(f"{name}-00001", backend_port) for name in services],
    }


def _named(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": NAMESPACE, "uid": name, "resourceVersion": "1", **more}}


def _route(name: str) -> dict[str, Any]:
    traffic = [{"revisionName": f"{name}-00001", "percent": 100}]
    return _named(name) | {"spec": {}, "status": {"url": f"http://{name}.default.localhost", "traffic": traffic}}


def _slice(revision: str, port: int) -> dict[str, Any]:
    labels = {names.REVISION_LABEL: revision, names.SERVICE_NAME_LABEL: names.private_service_name(revision)}
    return _named(f"{revision}-private-x", labels=labels) | {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }


async def serve(port: int, backend_port: int, routes: int, stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set."""
    listed = objects(routes, backend_port)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("watch"):
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            await stopping.wait()
            return response
        # Selectors for Tidegate's own endpoints and Secret match nothing here.
        is_ours = f"/namespaces/{names.SYSTEM_NAMESPACE}/" in request.path
        items = [] if is_ours else listed.get(request.path.rpartition("/")[2], [])
        return web.json_response({"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await stopping.wait()
    await runner.cleanup()


if __name__ == "__main__":
    listen, backend, count = map(int, sys.argv[1:4])
    run.run(lambda stopping: serve(listen, backend, count, stopping))
