"""What of a request reaches the container: headers of the client and of the proxies, and the protocol."""

from __future__ import annotations

import re

import pytest

from tests.conformance import runtime_info
from tests.conformance.world import World


@pytest.mark.upstream("runtime", "TestMustHaveHeadersSet")
async def test_the_container_sees_the_public_host_and_who_forwarded(world: World) -> None:
    found = (await runtime_info.of(world))["request"]
    assert found["host"] == world.host(runtime_info.NAME)
    assert re.search(r"for=", found["headers"]["forwarded"])
    assert re.search(r"proto=http\b", found["headers"]["forwarded"])


@pytest.mark.upstream("runtime", "TestShouldHaveHeadersSet")
async def test_the_container_sees_where_a_request_came_from_and_the_clients_own_headers(world: World) -> None:
    own = {"user-agent": "a test/1.0", "x-custom": "As It Was; q=1", "x-two": "a, b"}
    headers = (await runtime_info.of(world, headers=own))["request"]["headers"]
    assert headers["x-forwarded-for"].split(",")[0].strip() == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", headers["traceparent"])
    assert {name: headers[name] for name in own} == own


@pytest.mark.upstream("runtime", "TestShouldHaveHeadersSet")
async def test_a_trace_goes_on_in_the_container(world: World) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    found = (await runtime_info.of(world, headers=headers))["request"]["headers"]
    assert found["traceparent"].split("-")[1] == trace


@pytest.mark.upstream("runtime", "TestProtocols")
@pytest.mark.parametrize(
    ("port_name", "protocol"), [("h2c", "HTTP/2.0"), ("http1", "HTTP/1.1"), ("", "HTTP/1.1")], ids=repr
)
async def test_the_ports_name_is_the_protocol_of_the_container(world: World, port_name: str, protocol: str) -> None:
    # An app that speaks HTTP/2 unasked would be found out where `autodetect-http2` is on, as it is here.
    env = [{"name": "HTTP2", "value": "on"}] if port_name == "h2c" else []
    port = {"containerPort": 8080} | ({"name": port_name} if port_name else {})
    assert (await runtime_info.of(world, {"ports": [port], "env": env}))["request"]["protocol"] == protocol
