"""What one gets from aiohttp, its server in front of its client: `python -m bench.aiohttp_proxy PORT BACKEND`."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
from aiohttp import web

from tidegate.process import run

_DROPPED = frozenset({"transfer-encoding", "content-length", "connection", "host"})


async def serve(port: int, backend_port: int, stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def relay(request: web.BaseRequest) -> web.StreamResponse:
            url = f"http://127.0.0.1:{backend_port}{request.rel_url}"
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _DROPPED}
            length = request.headers.get("Content-Length")
            if length is not None:
                headers["Content-Length"] = length
            body = request.content if request.can_read_body else None
            async with session.request(request.method, url, headers=headers, data=body) as upstream:
                answer = web.StreamResponse(status=upstream.status)
                answer.content_length = upstream.content_length
                await answer.prepare(request)
                async for piece in upstream.content.iter_any():
                    await answer.write(piece)
                await answer.write_eof()
                return answer

        runner = web.ServerRunner(web.Server(relay), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        await stopping.wait()
        await runner.cleanup()


if __name__ == "__main__":
    listen, backend = map(int, sys.argv[1:3])
    run.run(lambda stopping: serve(listen, backend, stopping))
