"""Violations of RFC 9113 by clients and by upstreams, each with the error that is required, on real connections."""

from __future__ import annotations

import asyncio
import struct

import h2.events
import pytest

from tests.support.h2_peers import GET, POST, H2Peer, upstream
from tests.support.wire import PATIENCE_S, Peer, answering, rig, turns_until
from tidegate.wire import h2_frames as frames
from tidegate.wire import hpack_encoder
from tidegate.wire.director import H2C, Answer, Failure
from tidegate.wire.h2_frames import ErrorCode
from tidegate.wire.h2_reader import FrameReader
from tidegate.wire.h2_session import HEADS_KEPT_BYTES
from tidegate.wire.limits import Limits, ServerTimers

OK_EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
PSEUDO = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]
SENT = [(b":method", b"POST"), *PSEUDO[1:]]


def block(*more: tuple[bytes, bytes], pseudo=PSEUDO) -> bytes:
    return hpack_encoder.encode([*pseudo, *more])


def ask(stream_id: int, *more: tuple[bytes, bytes], pseudo=PSEUDO, end: bool = True) -> bytes:
    return frames.headers(stream_id, block(*more, pseudo=pseudo), frames.END_STREAM if end else 0, 1 << 14)


def data(stream_id: int, payload: bytes, *, end: bool = False) -> bytes:
    return frames.head(len(payload), frames.DATA, int(end), stream_id) + payload


HELLO = frames.PREFACE + frames.settings({})
CLOSED = ask(1) + frames.rst_stream(1, 8)
UPDATE_0 = frames.window_update(0, 0)
LARGEST = frames.LARGEST_WINDOW_BYTES
PROTOCOL, FLOW, ENDED = ErrorCode.PROTOCOL_ERROR, ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.STREAM_CLOSED


class Ends:
    """Reads frames until the connection or a stream ends, and remembers how."""

    is_lost = False

    def __init__(self):
        self.goaways, self.resets, self.statuses = [], {}, []

    def on_goaway(self, last_stream_id, code):
        self.goaways.append(code)

    def on_reset(self, stream_id, code):
        self.resets[stream_id] = code

    def on_headers(self, stream_id, block, is_end):
        self.statuses.append(block)

    def __getattr__(self, name):
        return lambda *_: None


async def ends(peer: Peer, condition) -> Ends:
    sink = Ends()
    reader = FrameReader(sink, expects_preface=False, limit_bytes=1 << 16)
    while not condition(sink):
        received = await asyncio.wait_for(peer.reader.read(1 << 16), PATIENCE_S)
        assert received, f"closed without an error: {vars(sink)}"
        reader.feed(received)
    return sink


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (data(1, b"x"), PROTOCOL),  # 5.1: a stream that is idle
        (frames.window_update(1, 5), PROTOCOL),
        (frames.rst_stream(1, 8), PROTOCOL),
        (ask(2), PROTOCOL),  # 5.1.1: even numbers are the server's
        (ask(5) + ask(3), ENDED),
        (CLOSED + ask(1), ENDED),
        (ask(1, end=True) + ask(1, end=True), ENDED),  # 5.1: half-closed or closed, as the answer is done or not
        (UPDATE_0, PROTOCOL),  # 6.9
        (frames.window_update(0, LARGEST), FLOW),  # 6.9.1
        (frames.settings({frames.ENABLE_PUSH: 7}), PROTOCOL),  # 6.5.2
        (frames.settings({frames.INITIAL_WINDOW_SIZE: LARGEST + 1}), FLOW),
        (frames.settings({frames.MAX_FRAME_SIZE: 1}), PROTOCOL),
        (frames.head(1, frames.SETTINGS, 0, 0) + b"x", ErrorCode.FRAME_SIZE_ERROR),
        (frames.headers(1, b"\x80", 1, 1 << 14), ErrorCode.COMPRESSION_ERROR),  # 4.3
        (frames.head(1 << 20, frames.DATA, 0, 1), ErrorCode.FRAME_SIZE_ERROR),  # 4.2
        (frames.head(4, frames.PUSH_PROMISE, 4, 1) + bytes(4), PROTOCOL),  # 8.4
    ],
)
async def test_an_error_of_the_connection(sent, code):
    async with rig(answering(OK_EMPTY)) as engine:
        client = await engine.client()
        client.send(HELLO + sent)
        seen = await ends(client, lambda sink: sink.goaways or sink.resets.get(1) == ENDED)
        if not seen.goaways:  # a stream error does as well where the stream is known to be half-closed
            assert code == ENDED
        else:
            assert seen.goaways == [code]
            client.writer.write_eof()
            await client.gone()


async def test_no_preface_is_http1():
    async with rig() as engine:
        client = await engine.client()
        client.send(frames.settings({}))
        assert (await client.rest()).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (ask(1, end=False) + frames.window_update(1, 0), PROTOCOL),  # 6.9
        (ask(1, end=False) + frames.window_update(1, LARGEST), FLOW),  # 6.9.1
        (ask(1, end=False) + frames.head(4, frames.PRIORITY, 0, 1) + bytes(4), ErrorCode.FRAME_SIZE_ERROR),  # 6.3
        (ask(1, (b"content-length", b"5"), pseudo=SENT, end=False) + data(1, b"abcdef"), PROTOCOL),  # 8.1.1
        (ask(1, (b"content-length", b"5"), pseudo=SENT, end=False) + data(1, b"abcd", end=True), PROTOCOL),
        (ask(1, (b"content-length", b"5"), pseudo=SENT, end=False) + ask(1, (b"x-sum", b"1"), pseudo=[]), PROTOCOL),
        (
            ask(1, end=False) + ask(1, (b"x-sum", b"1"), pseudo=[], end=False),
            PROTOCOL,
        ),  # 8.1: trailers that end nothing
        (ask(1, end=False) + ask(1), PROTOCOL),  # 8.1: pseudo headers in trailers
        (ask(1, (b"Upper", b"1")), PROTOCOL),  # 8.2.1
        (ask(1, (b"x-a", b"1\r\nx-b: 2")), PROTOCOL),
        (ask(1, (b"connection", b"close")), PROTOCOL),  # 8.2.2
        (ask(1, (b"te", b"gzip")), PROTOCOL),
        (ask(1, (b":path", b"/again")), PROTOCOL),  # 8.3
        (ask(1, (b":status", b"200")), PROTOCOL),
        (ask(1, (b"x-a", b"1"), (b":path", b"/")), PROTOCOL),
        (ask(1, pseudo=PSEUDO[1:]), PROTOCOL),  # 8.3.1
        (ask(1, pseudo=[*PSEUDO[:3], (b":path", b"")]), PROTOCOL),
    ],
)
async def test_an_error_of_a_stream(sent, code):
    held: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    async with rig(direct=lambda request, port: held) as engine:
        client = await engine.client()
        client.send(HELLO + sent)
        seen = await ends(client, lambda sink: sink.resets)
        assert (seen.resets, seen.goaways) == ({1: code}, [])
        client.send(frames.ping(b"12345678", is_ack=False))
        await client.reader.readexactly(17)  # the connection lives
        await turns_until(lambda: len(engine.director.outcomes) == len(engine.director.requests))
        assert {outcome.failure for outcome in engine.director.outcomes} <= {Failure.BAD_REQUEST}


async def test_data_behind_the_end_of_a_request():
    held: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    async with rig(direct=lambda request, port: held) as engine:
        client = await engine.client()
        client.send(HELLO + ask(1) + data(1, b"more"))
        assert (await ends(client, lambda sink: sink.resets)).resets == {1: ENDED}


async def test_more_than_the_window():
    held: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    async with rig(direct=lambda request, port: held) as engine:
        client = await engine.client()
        client.send(HELLO + ask(1, pseudo=SENT, end=False) + data(1, bytes(16_384)) * 5)
        assert (await ends(client, lambda sink: sink.resets)).resets == {1: FLOW}


async def test_remembered_heads_have_a_bound():
    async with rig(direct=lambda request, port: Answer(204)) as engine:
        client = await engine.client()
        client.send(HELLO)
        for number in range(500):
            client.send(ask(2 * number + 1, (b"x-number", b"%d" % number)))
        await ends(client, lambda sink: len(sink.statuses) == 500)
        [session] = engine.server._connections
        assert 10 < len(session.heads_ended) < 250
        assert {head.request("", 0.0).method for head in session.heads_ended.values()} == {b"GET"}


async def test_remembered_heads_are_measured_by_what_they_say():
    """A byte can stand for a header of kilobytes in the connection's table."""
    large = b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000  # 4000 is 127 + 0x21 + 0x1e * 128
    async with rig() as engine:
        client = await engine.client()
        head = hpack_encoder.encode(PSEUDO)
        client.send(HELLO + frames.headers(1, head + large, frames.END_STREAM, 1 << 14))
        for number in range(90):
            said = head + hpack_encoder.encode([(b"y", b"%d" % number)]) + b"\xbe" * 14
            client.send(frames.headers(2 * number + 3, said, frames.END_STREAM, 1 << 14))
        await ends(client, lambda sink: len(sink.statuses) == 91)
        [session] = engine.server._connections
        assert len(engine.director.requests[-1].headers) == 16
        assert sum(len(head.block) for head in session.heads_ended.values()) < HEADS_KEPT_BYTES


async def test_the_bytes_of_the_preface_are_counted_once():
    async with rig(direct=lambda request, port: Answer(204)) as engine:
        client = await engine.client()
        client.send(HELLO[:5])
        await turns_until(lambda: engine.server.counters.bytes_in == 5)
        client.send(HELLO[5:] + ask(1))
        await ends(client, lambda sink: sink.statuses)
        assert engine.server.counters.bytes_in == len(HELLO + ask(1))


async def test_what_was_on_its_way_to_a_stream_that_we_reset_is_no_offence():
    async with rig() as engine:
        client = await engine.client()
        late = data(1, b"late") * 10 + ask(1, (b"x-sum", b"1"), pseudo=[])
        client.send(HELLO + ask(1, (b"Upper", b"1"), end=False) + late + ask(3))
        seen = await ends(client, lambda sink: sink.statuses)
        assert (seen.goaways, seen.resets) == ([], {1: PROTOCOL})


async def test_a_peer_that_asks_and_never_reads_is_cut_off():
    own = Answer(200, headers=((b"X-Long", b"x" * 20_000),))
    async with rig(direct=lambda request, port: own) as engine:
        client = await engine.client()
        client.writer.transport.pause_reading()
        client.send(HELLO)
        for number in range(1, 20_000, 2):
            client.send(ask(number))
            if number % 100 == 99:
                await asyncio.sleep(0.001)
            if engine.server.counters.floods:
                break
        assert engine.server.counters.floods == {"unread": 1}


NO_WINDOW = frames.PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: 0})


def ask_nobody(stream_id: int) -> bytes:
    """A head that is answered 400: its authority is none."""
    return ask(stream_id, pseudo=[*PSEUDO[:2], (b":authority", b"a b"), PSEUDO[3]])


async def test_answers_to_bad_heads_that_nobody_takes_count_as_streams():
    async with rig() as engine:
        client = await engine.client()
        client.send(NO_WINDOW + b"".join(map(ask_nobody, range(1, 221, 2))))
        seen = await ends(client, lambda sink: len(sink.statuses) + len(sink.resets) == 110)
        assert len(seen.statuses) == 100
        assert seen.resets == dict.fromkeys(range(201, 221, 2), ErrorCode.REFUSED_STREAM)


async def test_an_answer_to_a_bad_head_that_nobody_takes_is_dropped_in_time():
    async with rig(timers=ServerTimers(stalled_s=0.1, keep_alive_s=0)) as engine:
        client = await engine.client()
        client.send(NO_WINDOW + ask_nobody(1))
        assert (await ends(client, lambda sink: sink.resets)).resets == {1: ErrorCode.ENHANCE_YOUR_CALM}
        assert engine.server.counters.floods == {"stalled": 1}


# --- upstreams ---


def answer(stream_id: int, *more: tuple[bytes, bytes], end: bool = False, status: bytes = b"200") -> bytes:
    return frames.headers(stream_id, hpack_encoder.encode([(b":status", status), *more]), int(end), 1 << 14)


MANY = [(b"x-%d" % number, b"v" * 1000) for number in range(70)]
"""Headers beyond the size that we announced to take; on their way none may be left out."""


def trailers(stream_id: int, *lines: tuple[bytes, bytes]) -> bytes:
    return frames.headers(stream_id, hpack_encoder.encode(lines), frames.END_STREAM, 1 << 14)


@pytest.mark.parametrize(
    ("sent", "status", "failure"),
    [
        (data(1, b"x"), 502, Failure.UPSTREAM),
        (answer(1, (b"Upper", b"1")), 502, Failure.UPSTREAM),
        (answer(1, (b"x", b"a\nb")), 502, Failure.UPSTREAM),
        (answer(1, status=b"101"), 502, Failure.UPSTREAM),
        (answer(1, status=b"103", end=True), 502, Failure.UPSTREAM),
        (answer(3), 502, Failure.UPSTREAM),  # nobody has opened stream 3
        (frames.headers(1, b"\x80", 0, 1 << 14), 502, Failure.UPSTREAM),
        (frames.head(1 << 20, 0, 0, 1), 502, Failure.UPSTREAM),
        (frames.window_update(1, 0), 502, Failure.UPSTREAM),
        (frames.head(4, frames.PUSH_PROMISE, 4, 1) + struct.pack(">L", 2), 502, Failure.UPSTREAM),
        (answer(1, (b"content-length", b"3")) + data(1, b"abcdef"), 200, Failure.BROKEN_ANSWER),
        (answer(1, (b"content-length", b"3")) + data(1, b"ab", end=True), 200, Failure.BROKEN_ANSWER),
        (answer(1, *MANY), 502, Failure.UPSTREAM),
        (answer(1) + trailers(1, *MANY), 200, Failure.BROKEN_ANSWER),
        (answer(1) + answer(1), 200, Failure.BROKEN_ANSWER),  # trailers that end nothing, with a pseudo header
    ],
)
async def test_an_upstream_that_breaks_the_rules(sent, status, failure):
    async def handler(peer: Peer) -> None:
        peer.send(frames.settings({}))
        await peer.until(b"/mark")
        peer.send(sent)
        await peer.rest()

    async with rig(handler, relay={"protocol": H2C}) as engine:
        client = await engine.client()
        client.send(b"GET /mark HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.head()).startswith(b"HTTP/1.1 %d" % status)
        await engine.director.all_finished()
        assert [outcome.failure for outcome in engine.director.outcomes] == [failure]


async def test_an_upstream_whose_table_is_small_is_told_that_ours_is_empty():
    async def script(peer: H2Peer) -> None:
        peer.h2.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: 0})
        peer.flush()
        await peer.event(h2.events.SettingsAcknowledged)
        while not peer.is_over:
            for event in [e for e in peer.events if isinstance(e, h2.events.RequestReceived)]:
                peer.events.remove(event)
                peer.h2.send_headers(event.stream_id, [(":status", "204")], end_stream=True)
            peer.flush()
            await peer.read()

    async with rig(upstream(script), relay={"protocol": H2C}) as engine:
        client = H2Peer(await engine.client(), is_client=True)
        for headers in (GET, POST):
            assert (await client.answer(client.ask(headers)))[0][":status"] == "204"
        client.close()


def hints(count: int) -> bytes:
    return answer(1, (b"link", b"</a>"), status=b"103") * count


@pytest.mark.parametrize(
    ("relay", "hint", "last"),
    [
        ({}, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", OK_EMPTY),
        ({"protocol": H2C}, hints(1), answer(1, (b"content-length", b"0"), end=True)),
    ],
    ids=["http1", "http2"],
)
@pytest.mark.parametrize(("count", "status", "passed"), [(5, 200, 5), (6, 502, 5), (5000, 502, 5)])
async def test_interim_answers_have_a_bound(relay, hint, last, count, status, passed):
    async def handler(peer: Peer) -> None:
        if relay:
            peer.send(frames.settings({}))
        await peer.until(b"/mark")
        peer.send(hint * count + last)
        await peer.rest()

    async with rig(handler, relay=relay, limits=Limits(interim_answers=5)) as engine:
        client = await engine.client()
        client.send(b"GET /mark HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(passed):
            assert (await client.head()).startswith(b"HTTP/1.1 103 ")
        assert (await client.answer()).status == status
        await engine.director.all_finished()
        assert [outcome.failure for outcome in engine.director.outcomes] == [
            Failure.UPSTREAM if status == 502 else None
        ]


@pytest.mark.parametrize(("count", "is_cut"), [(500, False), (3000, True)])
async def test_an_upstream_that_goes_on_answering_what_is_over_is_cut_off(count, is_cut):
    async def handler(peer: Peer) -> None:
        peer.send(frames.settings({}))
        await peer.until(b"/mark")
        peer.send(hints(6 + count) + answer(1, end=True) + frames.ping(b"everyone", is_ack=False))
        if is_cut:
            await peer.gone()
        else:
            said = await peer.until(frames.ping(b"everyone", is_ack=True))
            assert frames.rst_stream(1, ErrorCode.ENHANCE_YOUR_CALM) in said
        seen.set()

    seen = asyncio.Event()
    async with rig(handler, relay={"protocol": H2C}, limits=Limits(interim_answers=5)) as engine:
        client = await engine.client()
        client.send(b"GET /mark HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(5):
            await client.head()
        assert (await client.answer()).status == 502
        await asyncio.wait_for(seen.wait(), PATIENCE_S)


async def test_a_body_that_was_asked_for_by_http2_must_come():
    """The timer of bodies that stand still does not run before the 100 of a client that waits for it."""

    async def handler(peer: Peer) -> None:
        peer.send(frames.settings({}))
        await peer.until(b"/mark")
        peer.send(answer(1, status=b"100"))
        await peer.rest()

    timers = ServerTimers(body_stalled_s=0.25, linger_s=0.05, resolution_s=0.01)
    async with rig(handler, relay={"protocol": H2C}, timers=timers) as engine:
        client = await engine.client()
        client.send(b"POST /mark HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.answer()).status == 100
        assert (await client.answer()).status == 408
