"""Links to all replicas: the one that decides hears of a revision, all of them while that is unknown."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.contracts import report
from tidegate.process.report_links import ReportLinks

HELLO = report.Hello("activator", "pod", "", "*", "token")
KEY = ("default", "app-00001")


class Replica:
    """A far end that keeps the bytes it was sent."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self) -> tuple[str, int]:
        self.server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[:2]

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while await reader.read(65536):
            pass
        writer.close()

    def say(self, owners: report.Owners) -> None:
        self.writers[-1].write(report.encode(owners))

    async def stop(self) -> None:
        self.server.close()
        for writer in self.writers:
            writer.close()
        await self.server.wait_closed()


@pytest.fixture
async def replicas():
    pair = Replica(), Replica()
    addresses = [await one.start() for one in pair]
    yield pair, addresses
    for one in pair:
        await one.stop()


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_the_replica_that_decides_hears_of_a_revision(replicas):
    (one, _other), addresses = replicas
    moved = []
    links = ReportLinks(lambda: frozenset(addresses), lambda: HELLO)
    links.on_moved = lambda: moved.append(None)
    links.refresh()
    await until(lambda: links.connected == 2)
    assert len(links.links_for(*KEY)) == 2
    for owner in (0, 1, 0):
        before = len(moved)
        one.say(report.Owners([f"{host}:{port}" for host, port in addresses], [owner]))
        await until(lambda before=before: len(moved) > before)
        (link,) = links.links_for(*KEY)
        assert link is links._links[addresses[owner]]
    one.say(report.Owners([], [-1]))
    await until(lambda: len(moved) == 4)
    assert len(links.links_for(*KEY)) == 2
    await links.close()
    assert links.links_for(*KEY) == []


async def test_links_come_and_go_with_the_addresses(replicas):
    (one, _), addresses = replicas
    known = set(addresses)
    connected = []
    links = ReportLinks(lambda: frozenset(known), lambda: HELLO)
    links.on_connected = connected.append
    links.refresh()
    await until(lambda: links.connected == 2)
    assert len(connected) == 2
    known.discard(addresses[1])
    links.refresh()
    await until(lambda: links.connected == 1)
    # An owner that is not among the addresses, or has gone: the others hear.
    one.say(report.Owners(["127.0.0.1:1"], [0]))
    await until(lambda: links._owners.addresses)
    assert len(links.links_for(*KEY)) == 1
    assert links.dropped == 0
    await links.close()
