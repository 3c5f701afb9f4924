"""gRPC's own client and server through the engine."""

from __future__ import annotations

import pytest

pytest.importorskip("grpc")

from tests.support.grpc_apps import GrpcApp, channel, check_every_shape
from tests.support.wire import rig
from tidegate.wire.director import H2C, Relay


async def test_every_shape_of_call():
    async with (
        GrpcApp().running() as app,
        rig(direct=lambda request, _: Relay("127.0.0.1", app.port, protocol=H2C)) as engine,
        channel(engine.server.port) as calls,
    ):
        await check_every_shape(app, calls)
        assert engine.server.counters.floods == {}
