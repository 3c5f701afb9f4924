"""A port that speaks TLS once it has a certificate; and whom its callers trust."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from tests.support.authority import Authority
from tests.support.hops import free_port
from tests.support.wire import rig
from tidegate.wire.peers import Peers
from tidegate.wire.server import Server
from tidegate.wire.tls_port import TlsPort

AUTHORITY = Authority()


async def shown(port: int, name: str) -> bool:
    context = ssl.create_default_context(cadata=AUTHORITY.pem)
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    except ssl.SSLCertVerificationError:
        return False
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    return True


async def test_it_listens_with_its_first_certificate_and_keeps_it_when_the_next_is_no_good(caplog):
    async with rig() as engine:
        port = free_port()
        one = TlsPort(Server(engine.director, engine.pool), "127.0.0.1", port)
        certificate, key = AUTHORITY.issue("first")
        assert not await one.show(certificate, "no key")
        assert not one.is_open
        assert await one.show(certificate, key)
        assert one.is_open
        assert await shown(port, "first")
        assert not await one.show(AUTHORITY.issue("second")[0], key)
        assert await shown(port, "first")
        assert await one.show(*AUTHORITY.issue("second"))
        assert await shown(port, "second")
        assert not await shown(port, "first")
        ended: list[int] = []
        await one.drain(1.0, lambda: ended.append(1))
        assert await one.show(certificate, key)  # too late: it does not listen again
        assert (one.is_open, ended) == (False, [1])
        assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


async def test_one_that_never_listened_has_nothing_to_drain():
    async with rig() as engine:
        one = TlsPort(Server(engine.director, engine.pool), "127.0.0.1", free_port())
        ended: list[int] = []
        await one.drain(1.0, lambda: ended.append(1))
        assert ended == [1]


def test_a_new_bundle_makes_new_peers_and_a_bad_one_changes_nothing(caplog):
    peers = Peers()
    nobody = peers.named("a")
    peers.trust(AUTHORITY.pem)
    one = peers.named("a")
    assert one is peers.named("a") is not nobody
    assert peers.named("b") is not one
    peers.trust(AUTHORITY.pem)
    assert peers.named("a") is one
    peers.trust("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----")
    assert peers.named("a") is one
    assert len(caplog.records) == 1


async def test_a_broken_certificate_in_the_bundle_takes_no_trust_from_the_others(caplog):
    broken = "-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----"
    peers = Peers()
    peers.trust(f"{broken}\n{AUTHORITY.pem}\nsome text\n{broken}")
    one = peers.named("first")
    async with rig() as engine:
        port = TlsPort(Server(engine.director, engine.pool), "127.0.0.1", free_port())
        await port.show(*AUTHORITY.issue("first"))
        connection = await engine.pool.connect("127.0.0.1", port.server.port, one)
        connection.abort()
        await port.drain(1.0)
    peers.trust(AUTHORITY.pem + "\n" + broken)
    assert peers.named("first") is not None
    told = "of 3 trusted certificates 2 do not load and are left out"
    assert caplog.records[0].getMessage() == told
    peers.trust("")
    assert peers.named("first") is not one
