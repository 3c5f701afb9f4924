"""The node's HTTP endpoint for the API server: container logs, commands beside a container, what pods
use, health.

Loopback only, plain HTTP, one bearer token compared in constant time.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from cluster import timestamps
from cluster.node import attach_session, exec_session, logs, usage
from cluster.node.agent import Agent
from cluster.node.logs import ContainerLog, Selection

FOLLOW_CHUNK_BYTES = 256 << 10
SHUTDOWN_S = 1.0
SESSIONS_LIMIT = 32
"""Most commands (`kubectl exec`) and clients (`attach`) at once on this node."""


class Kubelet:
    """Serves the endpoint on 127.0.0.1; `token` empty refuses everything but /healthz."""

    def __init__(self, agent: Agent, token: str) -> None:
        self._agent = agent
        self._token = token
        self._runner: web.AppRunner | None = None
        self._sessions = 0

    async def start(self, port: int) -> int:
        """Listen; returns the port (of use when `port` is 0)."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        app.router.add_get("/exec/{namespace}/{pod}/{container}", self._exec)
        app.router.add_get("/attach/{namespace}/{pod}/{container}", self._attach)
        app.router.add_get("/stats/summary", self._stats)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Close the endpoint."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        if not self._is_allowed(request):
            return web.Response(status=401, text="a bearer token of this node is required\n")
        info = request.match_info
        worker = self._agent.worker(info["namespace"], info["pod"])
        if worker is None:
            return web.Response(status=404, text=f'pod "{info["namespace"]}/{info["pod"]}" is not on this node\n')
        record = worker.record_of(info["container"])
        if record is None:
            return web.Response(status=404, text=f'container "{info["container"]}" is not in pod "{info["pod"]}"\n')
        try:
            selection = _selection(request)
        except ValueError as error:
            return web.Response(status=400, text=f"bad query: {error}\n")
        if request.query.get("previous") in ("true", "1"):
            path = worker.log_path(record.name, record.restarts - 1)
            if record.restarts == 0 or logs.size(path) is None:
                text = f'previous terminated container "{record.name}" in pod "{info["pod"]}" not found\n'
                return web.Response(status=400, text=text)
            return await _whole(path, selection)
        path = worker.log_path(record.name, record.restarts)
        if logs.size(path) is None:
            text = f'container "{record.name}" in pod "{info["pod"]}" is waiting to start: {record.reason}\n'
            return web.Response(status=400, text=text)
        if request.query.get("follow") in ("true", "1"):
            return await self._follow(request, worker.log_of(record.name), path, selection)
        return await _whole(path, selection)

    async def _stats(self, request: web.Request) -> web.StreamResponse:
        if not self._is_allowed(request):
            return web.Response(status=401, text="a bearer token of this node is required\n")
        return web.json_response(await asyncio.to_thread(usage.summary, self._agent.node_name, self._agent.sessions()))

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        if not self._is_allowed(request):
            return web.Response(status=401, text="a bearer token of this node is required\n")
        info, query = request.match_info, request.query
        worker = self._agent.worker(info["namespace"], info["pod"])
        command = query.getall("command", [])
        if worker is None or not command:
            return web.Response(status=404, text="no such pod on this node, or no command\n")
        setting = worker.setting_of(info["container"], command)
        if setting is None:
            return web.Response(status=400, reason="the container does not run", text="the container does not run\n")
        if self._sessions >= SESSIONS_LIMIT:
            return web.Response(status=503, reason="too many commands run on this node already", text="busy\n")
        self._sessions += 1
        try:
            wish = exec_session.Wish(setting.argv, _is_true(query, "stdin"), _is_true(query, "tty"))
            return await exec_session.serve(request, setting, wish)
        finally:
            self._sessions -= 1

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        if not self._is_allowed(request):
            return web.Response(status=401, text="a bearer token of this node is required\n")
        info, query = request.match_info, request.query
        worker = self._agent.worker(info["namespace"], info["pod"])
        run = worker.run_of(info["container"]) if worker else None
        if worker is None or run is None:
            return web.Response(status=400, reason="the container does not run", text="the container does not run\n")
        if self._sessions >= SESSIONS_LIMIT:
            return web.Response(status=503, reason="too many commands run on this node already", text="busy\n")
        self._sessions += 1
        try:
            streams = frozenset(name for name in ("stdin", "stdout", "stderr") if _is_true(query, name))
            record = worker.record_of(info["container"])
            once = record is not None and bool(record.spec.get("stdinOnce"))
            return await attach_session.serve(
                request, run, attach_session.Wish(streams, _is_true(query, "tty"), is_once=once)
            )
        finally:
            self._sessions -= 1

    async def _follow(
        self, request: web.Request, present: ContainerLog | None, path: Path, selection: Selection
    ) -> web.StreamResponse:
        if present is None or present.path != path or present.is_closed:
            return await _whole(path, selection)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        with present.changes() as grown:
            position = logs.size(path) or 0
            await response.write(await asyncio.to_thread(logs.select, path, selection, position))
            await self._stream(response, present, position, grown, selection)
        return response

    async def _stream(
        self, response: web.StreamResponse, present: ContainerLog, position: int, grown: asyncio.Event, what: Selection
    ) -> None:
        while True:
            grown.clear()
            lines, position = logs.read_from(present.path, position, FOLLOW_CHUNK_BYTES)
            shown = b"".join(text for line in lines if (text := logs.shown_line(line, what)) is not None)
            if shown:
                await response.write(shown)
            elif present.is_closed:
                return
            else:
                await grown.wait()

    def _is_allowed(self, request: web.Request) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if not self._token or scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token.encode())


def _is_true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name) in ("true", "1")


async def _whole(path: Path, selection: Selection) -> web.Response:
    # In a thread: a full log takes a tenth of a second to read, and pods start meanwhile.
    return web.Response(body=await asyncio.to_thread(logs.select, path, selection), content_type="text/plain")


def _selection(request: web.Request) -> Selection:
    query = request.query
    tail = query.get("tailLines")
    since = query.get("sinceSeconds")
    limit = query.get("limitBytes")
    return Selection(
        tail_lines=int(tail) if tail else None,
        since_unix_s=time.time() - int(since) if since else timestamps.unix_s(query.get("sinceTime")),
        limit_bytes=int(limit) if limit else None,
        timestamps=query.get("timestamps") in ("true", "1"),
    )
