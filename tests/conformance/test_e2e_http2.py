"""An app that speaks HTTP/2 in clear text: named so by its port, or found out."""

from __future__ import annotations

import pytest

from tests.conformance.world import World, service


@pytest.mark.upstream("e2e", "TestHelloHTTP2WithPortNameH2C")
async def test_a_port_named_h2c_is_spoken_to_in_http2(world: World) -> None:
    await world.deploy(service("two", "hellohttp2", container={"ports": [{"name": "h2c", "containerPort": 8080}]}))
    assert (await world.text(world.host("two"))).strip() == "HTTP/2.0"


@pytest.mark.upstream("e2e", "TestHelloHTTP2WithEmptyPortName")
async def test_an_app_without_a_port_name_is_found_to_speak_http2(world: World) -> None:
    await world.deploy(service("two", "hellohttp2", container={"ports": [{"containerPort": 8080}]}))
    assert (await world.text(world.host("two"))).strip() == "HTTP/2.0"
