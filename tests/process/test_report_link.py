"""The link to the autoscaler: Hello first, reports while connected, heartbeats, and back again after every loss."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.contracts import buckets, report
from tidegate.process import report_link, tasks
from tidegate.process.report_link import ReportLink

HELLO = report.Hello("queueproxy", "pod", "default", "app-00001", "token")
REPORT = report.Report("default", "app-00001", 1, 1.0, 2.0)
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connect that a busy machine holds up is not given up: whoever gives up goes elsewhere."""
    monkeypatch.setattr(report_link, "CONNECT_TIMEOUT_S", PATIENCE_S)


class Autoscaler:
    """A listening far end that keeps the frames of each connection."""

    def __init__(self) -> None:
        self.connections: list[list[bytes]] = []
        self.news = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self, port: int = 0) -> int:
        self.server = await asyncio.start_server(self._talk, "127.0.0.1", port)
        return self.server.sockets[0].getsockname()[1]

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames: list[bytes] = []
        self.connections.append(frames)
        self.writers.append(writer)
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(4), "big")
                frames.append(await reader.readexactly(length))
                self.news.set()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    async def wait_for(self, connections: int, frames: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.connections) < connections or len(self.connections[-1]) < frames:
                self.news.clear()
                await self.news.wait()

    async def stop(self) -> None:
        self.server.close()
        for writer in self.writers:
            writer.close()
        await self.server.wait_closed()


@pytest.fixture
async def autoscaler():
    far_end = Autoscaler()
    yield far_end
    await far_end.stop()


async def test_hello_then_reports(autoscaler):
    port = await autoscaler.start()
    link = ReportLink(lambda: ("127.0.0.1", port), lambda: HELLO)
    assert link.send(REPORT) is False
    assert link.dropped == 1
    running = tasks.spawn(link.run(), "link")
    await autoscaler.wait_for(1, 1)
    assert link.is_connected and link.send(REPORT)
    await autoscaler.wait_for(1, 2)
    hello, said = (report.decode(frame) for frame in autoscaler.connections[0])
    assert isinstance(hello, report.Hello) and (hello.pod, hello.token) == (HELLO.pod, HELLO.token)
    assert said == REPORT
    await tasks.cancel(running)
    assert not link.is_connected


async def test_it_comes_back_after_a_loss_and_says_so(autoscaler, monkeypatch):
    monkeypatch.setattr(report_link, "FIRST_BACKOFF_S", 0.001)
    port = await autoscaler.start()
    connected = []
    link = ReportLink(lambda: ("127.0.0.1", port), lambda: HELLO)
    link.on_connected = lambda: connected.append(link.is_connected)
    running = tasks.spawn(link.run(), "link")
    await autoscaler.wait_for(1, 1)
    autoscaler.writers[0].close()
    await autoscaler.wait_for(2, 1)
    assert connected == [True, True]
    await tasks.cancel(running)


async def test_it_waits_for_an_address_without_spinning(autoscaler):
    port = await autoscaler.start()
    asked = []

    def address() -> tuple[str, int] | None:
        asked.append(None)
        return ("127.0.0.1", port) if len(asked) > 1 else None

    link = ReportLink(address, lambda: HELLO)
    running = tasks.spawn(link.run(), "link")
    await asyncio.sleep(0)
    link.retry_now()
    await autoscaler.wait_for(1, 1)
    assert len(asked) == 2
    await tasks.cancel(running)


async def test_silence_is_filled_with_heartbeats(autoscaler, monkeypatch):
    monkeypatch.setattr(report, "HEARTBEAT_S", 0.02)
    port = await autoscaler.start()
    link = ReportLink(lambda: ("127.0.0.1", port), lambda: HELLO)
    running = tasks.spawn(link.run(), "link")
    await autoscaler.wait_for(1, 3)
    assert autoscaler.connections[0][1:3] == [b"", b""]
    await tasks.cancel(running)


async def test_every_connection_is_a_session_of_its_own(autoscaler, monkeypatch):
    monkeypatch.setattr(report_link, "FIRST_BACKOFF_S", 0.001)
    port = await autoscaler.start()
    link = ReportLink(lambda: ("127.0.0.1", port), lambda: HELLO)
    running = tasks.spawn(link.run(), "link")
    await autoscaler.wait_for(1, 1)
    assert 0 < link.session_s < 60
    autoscaler.writers[0].close()
    await autoscaler.wait_for(2, 1)
    sessions = {report.decode(frames[0]).session for frames in autoscaler.connections}
    assert len(sessions) == 2
    assert all(len(session) == 16 for session in sessions)
    await tasks.cancel(running)


async def test_it_hears_who_decides_and_moves_there(autoscaler):
    other = Autoscaler()
    here, there = await autoscaler.start(), await other.start()
    link = ReportLink(lambda: ("127.0.0.1", here), lambda: HELLO)
    link.on_owners = lambda owners: link.move_to(buckets.owner_of(owners, "default", "app-00001"))
    running = tasks.spawn(link.run(), "link")
    await autoscaler.wait_for(1, 1)
    frame = report.encode(report.Owners([f"127.0.0.1:{there}"], [0]))
    for piece in (frame[:3], frame[3:10], frame[10:]):
        autoscaler.writers[0].write(piece)
        await autoscaler.writers[0].drain()
    await other.wait_for(1, 1)
    other.writers[0].write(frame)
    assert link.is_connected
    await other.stop()
    # The owner is gone: back to the address that is always there.
    await autoscaler.wait_for(2, 1)
    await tasks.cancel(running)


async def test_each_side_says_what_it_can_read(autoscaler):
    here = await autoscaler.start()
    link = ReportLink(lambda: ("127.0.0.1", here), lambda: HELLO)
    heard = asyncio.Event()
    link.on_owners = lambda _owners: heard.set()
    running = tasks.spawn(link.run(), "link")
    await autoscaler.wait_for(1, 1)
    assert report.decode(autoscaler.connections[0][0]).version == report.VERSION
    assert link.peer_version == 0
    autoscaler.writers[0].write(report.encode(report.Owners([], [], report.VERSION)))
    await asyncio.wait_for(heard.wait(), PATIENCE_S)
    assert link.peer_version == report.VERSION
    await tasks.cancel(running)


async def test_two_that_name_each_other_do_not_play_ball(autoscaler, monkeypatch):
    monkeypatch.setattr(report_link, "AVOID_S", 2 * PATIENCE_S)
    other = Autoscaler()
    here, there = await autoscaler.start(), await other.start()
    link = ReportLink(lambda: ("127.0.0.1", here), lambda: HELLO)
    running = tasks.spawn(link.run(), "link")
    await autoscaler.wait_for(1, 1)
    link.move_to(("127.0.0.1", there))
    await other.wait_for(1, 1)
    link.move_to(("127.0.0.1", here))
    link.send(REPORT)
    await other.wait_for(1, 2)
    assert len(autoscaler.connections) == 1
    await tasks.cancel(running)
    await other.stop()


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xff", (1).to_bytes(4, "big") + b"\xc1"])
async def test_an_autoscaler_that_talks_nonsense_is_left(autoscaler, monkeypatch, nonsense):
    monkeypatch.setattr(report_link, "FIRST_BACKOFF_S", 0.001)
    port = await autoscaler.start()
    link = ReportLink(lambda: ("127.0.0.1", port), lambda: HELLO)
    running = tasks.spawn(link.run(), "link")
    await autoscaler.wait_for(1, 1)
    autoscaler.writers[0].write(nonsense)
    await autoscaler.wait_for(2, 1)
    await tasks.cancel(running)
