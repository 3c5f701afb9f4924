"""A gateway worker over a scripted API server: `python tests/support/gateway_worker.py LISTEN APP_PORT`."""

from __future__ import annotations

import asyncio
import sys

from gateway import seat
from gateway.__main__ import serve
from gateway.config import Config
from tests.support.fake_api import FakeApi
from tests.support.serving import put_autoscaler, put_pods, put_route


async def main(listen: str, app_port: int, tie: int) -> None:
    """Serve one route, straight to the app."""
    api, stopping = FakeApi(), asyncio.Event()
    put_route(api, "hello", [{"revisionName": "a", "percent": 100}])
    put_autoscaler(api, "a", "Serve")
    put_pods(api, "a", [("127.0.0.1", True)], port=app_port)
    await serve(Config(listen=listen, drain_quiet_s=0.0), api, stopping, seat.Seat(tie, stopping))


if __name__ == "__main__":
    given = seat.descriptor()
    assert given is not None
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), given))
