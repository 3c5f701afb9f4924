"""TLS from one hop to the next: every kind of traffic passes, and a peer with another name or issuer gets nothing."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest

from tests.support.authority import Authority
from tests.support.h2_peers import GET as H2_GET
from tests.support.h2_peers import H2Peer
from tests.support.wire import OK, PATIENCE_S, Peer, Rig, answering, rig, turns_until
from tidegate.wire.director import H2C, Failure, Relay, Timeouts
from tidegate.wire.server import Server
from tidegate.wire.server_identity import ServerIdentity
from tidegate.wire.upstream_tls import UpstreamTls

NAME = "kn-user-default"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


class Hops:
    """Two engines: `front` speaks clear text to clients and TLS to `back`, which speaks clear text to an upstream."""

    def __init__(self, front: Rig, back: Rig, tls_port: int, identity: ServerIdentity) -> None:
        self.front, self.back, self.tls_port, self.identity = front, back, tls_port, identity
        self.tls: UpstreamTls | None = None
        self.protocol = ""
        self.timeouts = Timeouts(connect_s=PATIENCE_S)

    def relay(self) -> Relay:
        relay = Relay("127.0.0.1", self.tls_port, protocol=self.protocol, timeouts=self.timeouts)
        relay.tls = self.tls
        return relay


@asynccontextmanager
async def hops(authority: Authority, handler=None, *, server_name: str = NAME):
    identity = ServerIdentity(*authority.issue(server_name, "data-plane.knative.dev"))
    async with rig(handler) as back:
        server = Server(back.director, back.pool)
        await server.start("127.0.0.1", 0, tls=identity.context)
        try:
            async with rig(direct=lambda _request, _port: made.relay()) as front:
                made = Hops(front, back, server.port, identity)
                made.tls = UpstreamTls(authority.pem, NAME, handshake_s=PATIENCE_S)
                yield made
        finally:
            await server.close()


@pytest.mark.parametrize("protocol", ["", H2C])
async def test_requests_pass_and_share_connections(authority: Authority, protocol: str) -> None:
    async with hops(authority) as world:
        world.protocol = protocol
        client = await world.front.client()
        for _ in range(3):
            client.send(GET)
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"ok")
        pool = world.front.pool
        assert (pool.tls_connects, pool.streams.tls_connects) == ((0, 1) if protocol else (1, 0))
        assert pool.connects == pool.streams.connects == 0
        assert {request.http_version for request in world.back.director.requests} == {"2" if protocol else "1.1"}


async def test_http2_from_end_to_end(authority: Authority) -> None:
    async with hops(authority) as world:
        world.protocol = H2C
        client = H2Peer(await world.front.client(), is_client=True)
        assert (await client.answer(client.ask(H2_GET)))[1] == b"ok"
        client.close()


async def test_large_bodies_pass_both_ways(authority: Authority) -> None:
    async def echo(peer: Peer) -> None:
        await peer.head()
        body = await peer.exactly(3_000_000)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + body)
        await peer.rest()

    async with hops(authority, echo) as world:
        body = bytes(range(256)) * 12_000
        sent = (body + bytes(3_000_000))[:3_000_000]
        client = await world.front.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + sent)
        assert (await client.answer()).body == sent


@pytest.mark.parametrize("ends", ["client", "app"])
async def test_an_upgrade_becomes_a_tunnel_and_either_end_ends_it(
    authority: Authority, ends: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(peer: Peer) -> None:
        await peer.head()
        peer.send(SWITCH + b"hello")
        assert await peer.exactly(4) == b"ping"
        peer.send(b"pong")
        await peer.flush()
        if ends == "client":
            await peer.gone()

    async with hops(authority, app) as world:
        client = await world.front.client()
        client.send(UPGRADE)
        await client.until(b"hello")
        client.send(b"ping")
        assert await client.exactly(4) == b"pong"
        if ends == "client":
            client.writer.write_eof()
        await client.gone()
        await world.back.director.all_finished()
    assert caplog.records == []  # the end of the other side, behind the tunnel's, is no news


@pytest.mark.parametrize("protocol", ["", H2C])
@pytest.mark.parametrize("wrong", ["name", "issuer"])
async def test_a_certificate_for_another_name_or_of_another_issuer_is_refused(
    authority: Authority, wrong: str, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with hops(authority, server_name="kn-user-other" if wrong == "name" else NAME) as world:
        world.protocol = protocol
        if wrong == "issuer":
            world.tls = UpstreamTls(Authority("another").pem, NAME, handshake_s=PATIENCE_S)
        answer = await world.front.ask(GET)
        assert answer.status == 503  # what this director answers in `retry`
        assert world.front.director.retries == [Failure.CERTIFICATE]
        assert world.back.director.requests == []  # not one byte of the request was written
        assert world.front.pool.certificates_refused == 1
        assert "kn-user-default" in caplog.text
        world.front.director.on_retry = lambda _request, failed, _failure: failed
        assert (await world.front.ask(GET)).reason == "upstream_certificate_refused"
        await turns_until(lambda: world.front.pool.open_count == 0)


async def test_clear_text_and_tls_to_one_address_never_share_a_connection(authority: Authority) -> None:
    async with hops(authority) as world:
        assert (await world.front.ask(GET)).status == 200
        pool, port = world.front.pool, world.tls_port
        await turns_until(lambda: pool.idle_count == 1)
        assert pool.take("127.0.0.1", port) is None
        assert pool.take("127.0.0.1", port, False, UpstreamTls(authority.pem, "kn-routing")) is None
        connection = pool.take("127.0.0.1", port, False, world.tls)
        assert connection is not None
        connection.abort()


@pytest.mark.parametrize("protocol", ["", H2C])
async def test_a_peer_that_never_shakes_hands_costs_the_connect_timeout(authority: Authority, protocol: str) -> None:
    async def silent(peer: Peer) -> None:
        await peer.gone()

    async with rig(silent) as mute, hops(authority) as world:
        world.tls_port, world.protocol = mute.upstream.port, protocol
        world.timeouts = Timeouts(connect_s=0.05)
        world.tls = UpstreamTls(authority.pem, NAME, handshake_s=0.05)
        await world.front.ask(GET)
        assert world.front.director.retries == [Failure.CONNECT]
        await world.front.pool.close()


async def test_a_peer_that_speaks_clear_text_is_not_spoken_to(authority: Authority) -> None:
    async with rig(answering(OK)) as plain, hops(authority) as world:
        world.tls_port = plain.server.port
        await world.front.ask(GET)
        assert world.front.director.retries[0] in (Failure.CERTIFICATE, Failure.CONNECT)
        assert plain.director.requests == []


async def test_a_new_certificate_is_shown_to_new_connections_and_open_ones_go_on(authority: Authority) -> None:
    async with hops(authority) as world:
        client = await world.front.client()
        client.send(GET)
        assert (await client.answer()).status == 200
        renewed = Authority("renewed")
        world.identity.replace(*renewed.issue(NAME))
        client.send(GET)
        assert (await client.answer()).status == 200
        assert world.front.pool.tls_connects == 1
        world.tls = UpstreamTls(authority.pem + renewed.pem, NAME, handshake_s=PATIENCE_S)
        client.send(GET)
        assert (await client.answer()).status == 200
        assert world.front.pool.tls_connects == 2


def test_a_key_of_another_certificate_is_refused_and_changes_nothing(authority: Authority) -> None:
    (certificate, key), (_, other) = authority.issue(NAME), authority.issue(NAME)
    identity = ServerIdentity(certificate, key)
    with pytest.raises(ssl.SSLError):
        identity.replace(certificate, other)
    with pytest.raises(ssl.SSLError):
        UpstreamTls("no certificate", NAME)


async def test_cancelling_at_any_point_of_the_handshake_leaves_nothing(authority: Authority) -> None:
    async with hops(authority) as world:
        pool = world.front.pool
        for turns in range(12):
            task = asyncio.ensure_future(pool.connect("127.0.0.1", world.tls_port, world.tls))
            for _ in range(turns):
                await asyncio.sleep(0)
            if not task.cancel():
                task.result().abort()
            await asyncio.wait([task])
        await turns_until(lambda: pool.open_count == 0)
