"""The report port over real sockets: who may speak, for whom, how much, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from autoscaler.demand import Demand
from autoscaler.ingest import Bounds, Ingest
from tidegate.contracts import report
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.report import Hello, History, Owners, Report, Reports, Scaled
from tidegate.contracts.wake import PHASES, Stretch, Wake

KEY = bytes(range(32))
REVISION = ("default", "hello-00001")


class Port:
    """An Ingest that listens, with a clock that stands still unless moved."""

    def __init__(self, **bounds) -> None:
        self.now = 100.0
        self.secret: bytes | None = KEY
        self.demand = Demand()
        self.demand.configure(REVISION, ScalingSpec())
        self.pokes: list[tuple[str, str]] = []
        self.wakes: list[Wake] = []
        self.owners: Owners | None = None
        self.ours = {REVISION, ("default", "other-00001")}
        self.ingest = Ingest(
            self.demand,
            key=lambda: self.secret,
            clock=lambda: self.now,
            on_poke=self.pokes.append,
            is_ours=lambda key: key in self.ours,
            owners=lambda: self.owners,
            bounds=Bounds(**bounds),
            on_wake=self.take_wake,
        )
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    def take_wake(self, told: Wake) -> bool:
        self.wakes.append(told)
        return bool(told.pod)

    async def connect(self) -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return Peer(reader, writer)


class Peer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, *messages: report.Message) -> None:
        self.writer.write(b"".join(report.encode(message) for message in messages))

    async def heard(self) -> Owners | Scaled:
        async with asyncio.timeout(20):
            length = int.from_bytes(await self.reader.readexactly(4), "big")
            return report.decode_answer(await self.reader.readexactly(length))

    async def is_cut(self) -> bool:
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read() == b""
        return True


@contextlib.asynccontextmanager
async def listening(**bounds):
    port = Port(**bounds)
    port.port = await port.ingest.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await port.ingest.close()
        for writer in port.writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def hello(
    source="queueproxy",
    namespace="default",
    revision="hello-00001",
    key=KEY,
    session="",
    pod="pod-1",
    version=report.VERSION,
) -> Hello:
    if source == "activator":
        namespace, revision = "*", "*"
    return Hello(source, pod, namespace, revision, report.token(key, namespace, revision), session, version)


def reading(sequence, concurrency=2.0, revision="hello-00001", **more) -> Report:
    return Report("default", revision, sequence, 1.0, concurrency, **more)


async def test_a_queueproxy_reports_its_revision():
    async with listening() as port:
        peer = await port.connect()
        peer.say(hello(), reading(1))
        await until(lambda: port.ingest.counts["taken"])
        port.demand.record(100.5)
        assert port.demand.averages(REVISION, "concurrency", 100.5) == (2.0, 2.0)
        peer.writer.close()
        await until(lambda: port.demand.is_silent(REVISION))


async def test_frames_may_arrive_in_any_pieces():
    async with listening() as port:
        peer = await port.connect()
        stream = report.encode(hello()) + report.HEARTBEAT + report.encode(reading(1)) + report.encode(reading(2))
        for index in range(len(stream)):
            peer.writer.write(stream[index : index + 1])
            await peer.writer.drain()
        await until(lambda: port.ingest.counts["taken"] == 2)


async def test_an_activator_reports_many_revisions_in_one_frame_and_pokes():
    async with listening() as port:
        peer = await port.connect()
        first = Report("default", "hello-00001", 3, 0.0, 0.0, in_flight=1, is_first=True)
        peer.say(hello("activator"), Reports([reading(1), reading(2, revision="other-00001")]), first)
        await until(lambda: port.ingest.counts["taken"] == 3)
        assert port.pokes == [REVISION]
        assert port.demand.waiting(REVISION, 100.0) == 1


async def test_a_queueproxy_cannot_poke_or_speak_for_others():
    async with listening() as port:
        peer = await port.connect()
        peer.say(hello(), reading(1, revision="other-00001"), reading(2, is_first=True))
        await until(lambda: port.ingest.counts["taken"])
        assert port.ingest.counts["foreign"] == 1
        assert not port.pokes


@pytest.mark.parametrize(
    "first",
    [
        hello(key=b"another key of some length"),
        Hello("queueproxy", "pod-1", "default", "hello-00002", hello().token),
        Hello("queueproxy", "pod-1", "*", "*", report.token(KEY, "*", "*")),
        Hello("activator", "pod-1", "default", "hello-00001", hello().token),
        Hello("stranger", "pod-1", "default", "hello-00001", hello().token),
        Hello("queueproxy", "pod-1", "default", "hello-00001", "ü"),
        reading(1),
    ],
)
async def test_who_cannot_prove_itself_is_cut(first):
    async with listening() as port:
        peer = await port.connect()
        peer.say(first)
        assert await peer.is_cut()
        assert port.ingest.counts["refused"] == 1


async def test_without_a_report_key_nobody_can_prove_anything():
    async with listening() as port:
        port.secret = None
        peer = await port.connect()
        peer.say(hello())
        assert await peer.is_cut()


async def test_silence_instead_of_a_hello_is_cut():
    async with listening(hello_s=0.02) as port:
        peer = await port.connect()
        assert await peer.is_cut()
        assert not port.ingest.connections


async def test_silence_after_the_hello_is_swept():
    async with listening() as port:
        peer = await port.connect()
        peer.say(hello())
        await until(lambda: not port.demand.is_silent(REVISION))
        port.ingest.sweep(129.0)
        assert port.ingest.connections
        port.ingest.sweep(131.0)
        assert await peer.is_cut()
        await until(lambda: port.demand.is_silent(REVISION))


@pytest.mark.parametrize(
    "stream",
    [
        b"\xff\xff\xff\xff",
        (5000).to_bytes(4, "big"),
        (3).to_bytes(4, "big") + b"\xc1\xc1\xc1",
        report.encode(hello()) + (5000).to_bytes(4, "big"),
        report.encode(hello()) + (1).to_bytes(4, "big") + b"\xc1",
        report.encode(hello()) + report.encode(hello()),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_who_breaks_the_format_is_cut(stream):
    async with listening() as port:
        peer = await port.connect()
        peer.writer.write(stream)
        assert await peer.is_cut()


async def test_too_many_connections_are_refused():
    async with listening(connections=1) as port:
        first = await port.connect()
        first.say(hello())
        await until(lambda: port.ingest.connections)
        second = await port.connect()
        assert await second.is_cut()
        assert len(port.ingest.connections) == 1


@pytest.mark.slow
async def test_who_sends_too_fast_is_read_more_slowly_and_loses_nothing():
    async with listening(queueproxy_frames_per_s=10) as port:
        peer = await port.connect()
        peer.say(hello(), *(reading(number) for number in range(1, 16)))
        await until(lambda: port.ingest.counts["taken"] == 15)
        assert port.ingest.counts["slowed"] == 1


async def test_repeated_and_impossible_reports_are_counted_as_dropped():
    async with listening() as port:
        peer = await port.connect()
        peer.say(hello(), reading(2), reading(2), reading(1), reading(3, concurrency=-1.0))
        await until(lambda: port.ingest.counts["repeated"] == 2 and port.ingest.taken == 2)
        port.demand.record(100.5)
        assert port.ingest.counts["implausible"] == 1
        assert port.ingest.counts["taken"] == 1


async def test_a_newer_connection_of_a_pod_replaces_the_one_before():
    async with listening() as port:
        first = await port.connect()
        first.say(hello(session="one"), reading(1, concurrency=2.0))
        await until(lambda: port.ingest.counts["taken"] == 1)
        second = await port.connect()
        second.say(hello(session="two"), reading(1, concurrency=3.0))
        assert await first.is_cut()
        await until(lambda: port.ingest.counts["taken"] == 2)
        port.demand.record(100.5)
        assert port.demand.averages(REVISION, "concurrency", 100.5) == (3.0, 3.0)


async def test_a_recorded_connection_cannot_be_played_back():
    async with listening() as port:
        first = await port.connect()
        first.say(hello(session="one"), reading(1))
        await until(lambda: port.ingest.counts["taken"] == 1)
        first.writer.close()
        await until(lambda: not port.ingest.connections)
        again = await port.connect()
        again.say(hello(session="one"), reading(1))
        assert await again.is_cut()
        assert port.ingest.counts["replayed"] == 1
        assert port.demand.is_silent(REVISION)


async def test_a_report_that_was_held_up_on_the_way_is_stale():
    async with listening() as port:
        peer = await port.connect()
        peer.say(hello(), reading(1, session_s=1.0))
        await until(lambda: port.ingest.counts["taken"] == 1)
        port.now += 10
        peer.say(reading(2, session_s=2.0), reading(3, session_s=11.0))
        await until(lambda: port.ingest.counts["taken"] == 2)
        assert port.ingest.counts["stale"] == 1


async def test_an_activator_speaks_of_so_many_revisions_and_no_more():
    async with listening(activator_revisions=1) as port:
        peer = await port.connect()
        peer.say(hello("activator"), Reports([reading(1), reading(2, revision="other-00001"), reading(3)]))
        await until(lambda: port.ingest.counts["taken"] == 2)
        assert port.ingest.counts["too_many_revisions"] == 1


async def test_peers_hear_who_decides_and_only_ours_count():
    async with listening() as port:
        port.owners = Owners(["127.0.0.1:1", "127.0.0.1:2"], [0, 1])
        port.ours = set()
        queueproxy, activator = await port.connect(), await port.connect()
        queueproxy.say(hello(), reading(1))
        activator.say(hello("activator"), reading(1, is_first=True))
        for peer in (queueproxy, activator):
            assert await peer.heard() == port.owners
        await until(lambda: port.ingest.counts["elsewhere"] == 2)
        assert port.demand.is_silent(REVISION)
        assert not port.pokes
        port.ours, port.owners = {REVISION}, Owners(["127.0.0.1:1"], [0, 0])
        await port.ingest.owners_changed()
        assert await queueproxy.heard() == port.owners
        queueproxy.say(reading(2))
        activator.say(reading(2, is_first=True))
        await until(lambda: port.ingest.counts["taken"] == 2)
        port.ours = set()
        await port.ingest.owners_changed()
        assert port.demand.is_silent(REVISION)


async def test_who_does_not_read_what_it_is_told_is_cut():
    async with listening(unread_bytes=0) as port:
        peer = await port.connect()
        peer.writer.transport.pause_reading()
        peer.say(hello())
        await until(lambda: not port.demand.is_silent(REVISION))
        port.owners = Owners([f"127.0.0.1:{number}" for number in range(2000)], [0])
        async with asyncio.timeout(60):
            while port.ingest.connections:  # how much the kernel takes for a peer that does not read is its own affair
                await port.ingest.owners_changed()
                await asyncio.sleep(0)


async def test_a_history_is_heard_for_the_own_revision_only():
    async with listening() as port:
        peer = await port.connect()
        peer.say(
            hello(),
            History("default", "hello-00001", [4.0, 4.0], [0.0, 0.0]),
            History("default", "other-00001", [4.0], [0.0]),
            History("default", "hello-00001", [-4.0], [0.0]),
        )
        await until(lambda: port.ingest.counts["implausible"] == 1)
        assert port.ingest.counts["histories"] == 1
        assert port.ingest.counts["foreign"] == 1
        assert port.demand.averages(REVISION, "concurrency", 99.0) == (4.0, 4.0)


def wake_of(revision: str = REVISION[1], pod: str = "pod-1") -> Wake:
    return Wake("default", revision, pod, "", (Stretch(PHASES, 5000),))


async def test_an_activator_tells_of_wakes_of_our_revisions():
    async with listening() as port:
        peer = await port.connect()
        peer.say(hello("activator"), wake_of("foreign-00001"), wake_of(pod=""), wake_of())
        await until(lambda: port.ingest.counts["wakes"] == 1)
        assert port.wakes == [wake_of(pod=""), wake_of()]
        assert (port.ingest.counts["elsewhere"], port.ingest.counts["implausible"]) == (1, 1)


async def test_a_pod_has_no_say_about_wakes():
    async with listening() as port:
        peer = await port.connect()
        peer.say(hello(), wake_of())
        assert await peer.is_cut()
        assert port.wakes == []


async def test_who_asked_for_a_pod_hears_once_that_it_is_asked_for():
    async with listening() as port:
        asking, silent = await port.connect(), await port.connect()
        asking.say(hello("activator"), Report(*REVISION, 1, 0.0, 1.0, in_flight=1, is_first=True, session_s=0.1))
        silent.say(hello("activator", pod="pod-2"))
        await until(lambda: port.pokes == [REVISION] and len(port.ingest._peers) == 2)
        port.ingest.scaled(REVISION)
        port.ingest.scaled(REVISION)
        port.ingest.scaled(("default", "other-00001"))
        assert await asking.heard() == Scaled(*REVISION)
        port.owners = Owners(["127.0.0.1:1"], [0])
        await port.ingest.owners_changed()
        assert await asking.heard() == await silent.heard() == port.owners


async def test_an_activator_of_the_release_before_hears_nothing_that_it_cannot_read():
    async with listening() as port:
        asking = await port.connect()
        first = Report(*REVISION, 1, 0.0, 1.0, in_flight=1, is_first=True, session_s=0.1)
        asking.say(hello("activator", version=0), first)
        await until(lambda: port.pokes == [REVISION])
        port.ingest.scaled(REVISION)
        port.owners = Owners(["127.0.0.1:1"], [0])
        await port.ingest.owners_changed()
        assert await asking.heard() == port.owners


async def test_who_asked_and_left_is_forgotten():
    async with listening() as port:
        peer = await port.connect()
        peer.say(hello("activator"), Report(*REVISION, 1, 0.0, 1.0, in_flight=1, is_first=True, session_s=0.1))
        await until(lambda: port.pokes == [REVISION])
        peer.writer.close()
        await until(lambda: not port.ingest.connections)
        assert not any(port.ingest._pokers.values())
        port.ingest.scaled(REVISION)
