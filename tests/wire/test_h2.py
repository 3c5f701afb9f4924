"""HTTP/2 on either side of the engine: translation, flow control, resets, GOAWAY, floods."""

from __future__ import annotations

import asyncio
import shutil

import h2.events
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import ContinuationFrame, HeadersFrame, PingFrame, SettingsFrame

from tests.support.h2_peers import GET, POST, H2Peer, echo, upstream
from tests.support.wire import OK, PATIENCE_S, Peer, Rig, answering, rig, turns_until
from tidegate.wire import h2_client_side, h2_floods, h2_frames
from tidegate.wire.director import H2C, Answer, Failure, Relay, Timeouts
from tidegate.wire.limits import ServerTimers

BY_H2C = {"protocol": H2C}


async def client_of(engine: Rig) -> H2Peer:
    return H2Peer(await engine.client(), is_client=True)


# --- requests and answers ---


async def test_a_request_goes_to_an_http1_upstream():
    heads: list[bytes] = []

    async def handler(peer: Peer) -> None:
        heads.append(await peer.head())
        peer.send(OK)

    async with rig(handler) as engine:
        client = await client_of(engine)
        headers, body, _ = await client.answer(client.ask([*GET, ("x-secret", "1"), ("k-inside", "1"), ("x-own", "2")]))
        assert (headers[":status"], headers["content-length"], body) == ("200", "2", b"ok")
        assert heads[0].startswith(b"GET / HTTP/1.1\r\nHost: a.example\r\n")
        assert b"x-own: 2" in heads[0] and b"x-secret" not in heads[0] and b"k-inside" not in heads[0]
        assert engine.director.requests[0].http_version == "2"
        assert engine.director.requests[0].host == "a.example"
        assert engine.director.requests[0].header(b"x-secret") == b"1"
        client.close()


async def test_a_client_that_ends_its_input_is_no_error():
    complaints: list[dict] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    async with rig() as engine:
        client = await client_of(engine)
        await client.answer(client.ask(GET))
        client.peer.writer.write_eof()
        await turns_until(lambda: not engine.server.crowd.open)
    assert complaints == []


async def test_a_body_without_length_is_chunked_for_http1_and_trailers_pass_both_ways():
    heads: list[bytes] = []

    async def handler(peer: Peer) -> None:
        heads.append(await peer.head())
        heads.append(await peer.until(b"x-sum: 7\r\n\r\n"))
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-after: 1\r\n\r\n")

    async with rig(handler) as engine:
        client = await client_of(engine)
        stream_id = client.ask(POST, b"hello", end=False)
        client.h2.send_headers(stream_id, [("x-sum", "7")], end_stream=True)
        client.flush()
        headers, body, trailers = await client.answer(stream_id)
        assert (body, trailers) == (b"abc", {"x-after": "1"})
        assert "transfer-encoding" not in headers
        assert b"Transfer-Encoding: chunked" in heads[0]
        assert heads[1] == b"5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n"
        client.close()


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
async def test_an_http1_request_goes_to_an_http2_upstream(framing):
    async with rig(upstream(echo), relay=BY_H2C) as engine:
        answer = await engine.ask(b"POST /x HTTP/1.1\r\nHost: a\r\n" + framing)
        assert (answer.status, answer.body) == (200, b"hello")
        assert answer.header("x-kind") == "echo"
        assert answer.trailers == b"x-after: done\r\n\r\n"


CONTINUE = [*POST, ("content-length", "5"), ("expect", "100-continue")]


async def send_after_100(client: H2Peer) -> tuple[dict[str, str], bytes, dict[str, str]]:
    """Send a body when the 100 has come."""
    stream_id = client.ask(CONTINUE, end=False)
    interim = await client.event(h2.events.InformationalResponseReceived, stream_id)
    assert dict(interim.headers) == {":status": "100"}
    client.h2.send_data(stream_id, b"hello", end_stream=True)
    client.flush()
    return await client.answer(stream_id)


async def test_100_continue_goes_end_to_end_to_http1():
    async def handler(peer: Peer) -> None:
        assert b"\r\nexpect: 100-continue\r\n" in await peer.head()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await peer.exactly(5) == b"hello"
        peer.send(OK)

    async with rig(handler) as engine:
        client = await client_of(engine)
        assert (await send_after_100(client))[1] == b"ok"
        client.close()


async def continuing(peer: H2Peer) -> None:
    event = await peer.event(h2.events.RequestReceived)
    assert ("expect", "100-continue") in event.headers
    peer.h2.send_headers(event.stream_id, [(":status", "100")])
    peer.flush()
    assert (await peer.event(h2.events.DataReceived)).data == b"hello"
    peer.h2.send_headers(event.stream_id, [(":status", "200")])
    peer.h2.send_data(event.stream_id, b"ok", end_stream=True)
    peer.flush()
    await peer.gone()


async def test_100_continue_goes_end_to_end_by_http2():
    async with rig(upstream(continuing), relay=BY_H2C) as engine:
        client = await client_of(engine)
        assert (await send_after_100(client))[1] == b"ok"
        client.close()


async def test_100_continue_goes_end_to_end_from_http1_to_http2():
    async with rig(upstream(continuing), relay=BY_H2C) as engine:
        client = await engine.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        assert (await client.answer()).body == b"ok"


async def test_early_hints_are_passed_on():
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    async with rig(answering(hints + hints + OK)) as engine:
        client = await client_of(engine)
        assert (await client.answer(client.ask()))[1] == b"ok"
        found = [event for event in client.events if isinstance(event, h2.events.InformationalResponseReceived)]
        assert [dict(event.headers) for event in found] == [{":status": "103", "link": "</a.css>"}] * 2
        client.close()


async def test_trailers_pass_both_ways_by_http2():
    async def script(peer: H2Peer) -> None:
        trailers = await peer.event(h2.events.TrailersReceived)
        assert trailers.headers == [("x-sum", "7")]
        peer.h2.send_headers(trailers.stream_id, [(":status", "200")])
        peer.h2.send_headers(trailers.stream_id, [("x-after", "1")], end_stream=True)
        peer.flush()
        await peer.gone()

    async with rig(upstream(script), relay=BY_H2C) as engine:
        client = await client_of(engine)
        stream_id = client.ask(POST, b"hello", end=False)
        client.h2.send_headers(stream_id, [("x-sum", "7")], end_stream=True)
        client.flush()
        _, body, trailers = await client.answer(stream_id)
        assert (body, trailers) == (b"", {"x-after": "1"})
        client.close()


async def test_a_request_and_its_answer_are_under_way_at_once():
    async def script(peer: H2Peer) -> None:
        stream_id = (await peer.event(h2.events.RequestReceived)).stream_id
        peer.h2.send_headers(stream_id, [(":status", "200")])
        peer.flush()
        for _ in range(5):
            piece = await peer.event(h2.events.DataReceived)
            peer.events.remove(piece)
            peer.h2.send_data(stream_id, piece.data.upper())
            peer.flush()
        peer.h2.end_stream(stream_id)
        peer.flush()
        await peer.gone()

    async with rig(upstream(script), relay=BY_H2C) as engine:
        client = await client_of(engine)
        stream_id = client.ask(POST, end=False)
        await client.event(h2.events.ResponseReceived, stream_id)
        for number in range(5):
            client.h2.send_data(stream_id, b"a" * (number + 1))
            client.flush()
            piece = await client.event(h2.events.DataReceived)
            client.events.remove(piece)
            assert piece.data == b"A" * (number + 1)
        await client.event(h2.events.StreamEnded, stream_id)
        client.close()


async def test_many_requests_share_one_upstream_connection():
    async with rig(upstream(echo), relay=BY_H2C) as engine:
        client = await client_of(engine)
        asked = [client.ask(POST, b"%d" % number) for number in range(90)]
        answers = [await client.answer(stream_id) for stream_id in asked]
        assert [body for _, body, _ in answers] == [b"%d" % number for number in range(90)]
        assert len(engine.upstream.peers) == 1
        assert engine.pool.streams.connects == 1
        client.close()


async def test_another_upstream_connection_is_opened_when_the_streams_of_one_are_taken():
    peers: list[H2Peer] = []

    async def remember(peer: H2Peer) -> None:
        peers.append(peer)
        await peer.gone()

    async with rig(upstream(remember), relay=BY_H2C) as engine:
        clients = [await client_of(engine) for _ in range(2)]
        for client in clients:
            for _ in range(80):
                client.ask()

        def seen() -> list[int]:
            return [sum(isinstance(e, h2.events.RequestReceived) for e in peer.events) for peer in peers]

        await turns_until(lambda: sum(seen()) == 160)
        assert sorted(seen()) == [60, 100]
        for client in clients:
            client.close()


async def test_a_peers_own_limit_of_streams_is_kept():
    async def script(peer: H2Peer) -> None:
        peer.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 2})
        peer.flush()
        await echo(peer)

    async with rig(upstream(script), relay=BY_H2C) as engine:
        client = await client_of(engine)
        assert (await client.answer(client.ask(POST, b"first")))[1] == b"first"
        asked = [client.ask(POST, b"%d" % number) for number in range(20)]
        assert [(await client.answer(stream_id))[1] for stream_id in asked] == [b"%d" % n for n in range(20)]
        assert len(engine.upstream.peers) > 1
        client.close()


async def test_an_upstream_that_takes_no_streams_is_a_refused_connection():
    async def handler(peer: Peer) -> None:
        peer.send(h2_frames.settings({h2_frames.MAX_CONCURRENT_STREAMS: 0}))
        await peer.rest()

    async with rig(handler, relay=BY_H2C) as engine:
        client = await client_of(engine)
        assert (await client.answer(client.ask()))[0][":status"] == "503"
        assert engine.director.retries == [Failure.CONNECT]
        assert len(engine.upstream.peers) == 1
        client.close()


async def test_answers_of_ours_carry_the_reason():
    own = Answer(503, "no_activator", b"no pods")
    async with rig(direct=lambda request, port: own) as engine:
        client = await client_of(engine)
        headers, body, _ = await client.answer(client.ask())
        assert (headers[":status"], headers["x-tidegate-reason"], body) == ("503", "no_activator", b"no pods")
        client.close()


async def test_the_preface_is_found_however_it_is_cut():
    async with rig(answering(OK)) as engine:
        for first in (1, 3, 5, 14, 23):
            raw = await Peer.connect(engine.server.port)
            sent: list[bytes] = []
            whole, raw.send = raw.send, sent.append  # type: ignore[method-assign]
            client = H2Peer(raw, is_client=True)
            raw.send = whole  # type: ignore[method-assign]
            data = b"".join(sent)
            raw.send(data[:first])
            await raw.flush()
            await asyncio.sleep(0.005)
            raw.send(data[first:])
            assert (await client.answer(client.ask()))[1] == b"ok"
            client.close()


@pytest.mark.parametrize("wanted", [b"h2c", b"H2C", b" h2c , h2"])
async def test_an_upgrade_to_http2_is_ignored(wanted):
    heads: list[bytes] = []

    async def handler(peer: Peer) -> None:
        heads.append(await peer.head())
        peer.send(OK)
        heads.append(await peer.head())
        peer.send(OK)

    async with rig(handler) as engine:
        client = await engine.client()
        lines = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\nHTTP2-Settings: AAMAAABk\r\n" % wanted
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % lines)
        assert (await client.answer()).body == b"ok"
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")  # it is a request like any other
        assert (await client.answer()).body == b"ok"
    assert heads == [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"] * 2


async def test_of_several_upgrades_the_others_are_passed_on():
    async def handler(peer: Peer) -> None:
        assert b"\r\nUpgrade: websocket, x/1\r\n" in await peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
        await peer.rest()

    async with rig(handler) as engine:
        client = await engine.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket,h2c, x/1\r\n\r\n")
        assert (await client.answer()).status == 101
        assert await client.exactly(2) == b"hi"


@pytest.mark.parametrize("more", [[], [(":protocol", "websocket"), (":scheme", "http"), (":path", "/chat")]])
async def test_connect_is_refused_extended_or_not(more):
    async with rig() as engine:
        client = await client_of(engine)
        await client.event(h2.events.RemoteSettingsChanged)
        assert not client.h2.remote_settings.enable_connect_protocol  # so a browser opens WebSockets by HTTP/1.1
        client.h2.config.validate_outbound_headers = False
        stream_id = client.ask([(":method", "CONNECT"), (":authority", "a:1"), *more])
        while not [e for e in client.events if getattr(e, "stream_id", None) == stream_id]:
            await client.read()
        [event] = [e for e in client.events if getattr(e, "stream_id", None) == stream_id][:1]
        if more:  # a pseudo header that was not announced is none
            assert isinstance(event, h2.events.StreamReset)
        else:
            assert dict(event.headers)[":status"] == "501"
        assert engine.director.requests == []
        client.close()


async def test_what_only_looks_like_a_preface_is_refused_as_http1():
    async with rig() as engine:
        client = await engine.client()
        client.send(b"PRI")
        await client.flush()
        await asyncio.sleep(0.005)
        client.send(b" /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer()).status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([*GET[:3], (":path", "/" + "x" * 20_000)], "414"),
        ([*GET[:3], (":path", "no-slash")], "400"),
        ([*GET, *[("x-a", "1")] * 200], "431"),
        ([(":method", "CONNECT"), (":authority", "a:1")], "501"),
        ([*GET[:2], (":authority", "a b"), (":path", "/")], "400"),
    ],
)
async def test_a_bad_head_is_answered_and_the_connection_lives(headers, status):
    async with rig() as engine:
        client = await client_of(engine)
        client.h2.config.validate_outbound_headers = False
        assert (await client.answer(client.ask(headers)))[0][":status"] == status
        assert (await client.answer(client.ask()))[0][":status"] == "200"
        assert len(engine.director.requests) == 1
        client.close()


# --- flow control ---


async def test_a_client_that_reads_nothing_slows_the_upstream():
    sent = 0

    async def handler(peer: Peer) -> None:
        nonlocal sent
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(500):
            peer.send(bytes(100_000))
            await peer.writer.drain()
            sent += 100_000

    async with rig(handler) as engine:
        client = await client_of(engine)
        client.acknowledges = False
        stream_id = client.ask()
        await client.event(h2.events.ResponseReceived)
        await asyncio.sleep(0.2)
        assert sent < 30_000_000  # what the kernel's buffers hold
        client.acknowledges = True
        for event in client.events:
            if isinstance(event, h2.events.DataReceived):
                client.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        client.flush()
        assert len((await client.answer(stream_id))[1]) == 50_000_000
        client.close()


async def test_a_client_with_wide_windows_that_does_not_read_is_waited_for():
    sent = 0

    async def handler(peer: Peer) -> None:
        nonlocal sent
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(50):
            peer.send(bytes(1_000_000))
            await peer.writer.drain()
            sent += 1_000_000

    async with rig(handler) as engine:
        client = await client_of(engine)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: (1 << 31) - 1})
        client.h2.increment_flow_control_window((1 << 31) - 1 - 65_535)
        stream_id = client.ask()
        await client.event(h2.events.ResponseReceived)
        client.peer.writer.transport.pause_reading()
        await asyncio.sleep(0.2)
        assert sent < 30_000_000  # what the kernel's buffers hold
        client.peer.writer.transport.resume_reading()
        assert len((await client.answer(stream_id))[1]) == 50_000_000
        assert engine.server.counters.floods == {}
        client.close()


async def test_a_request_that_waits_opens_no_window():
    turn: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    async with rig(direct=lambda request, port: turn) as engine:
        client = await client_of(engine)
        stream_id = client.ask(POST, end=False)
        await client.event(h2.events.RemoteSettingsChanged)
        while (room := client.h2.local_flow_control_window(stream_id)) > 0:
            client.h2.send_data(stream_id, bytes(min(room, 16_384)))
        client.flush()
        await asyncio.sleep(0.05)
        updates = [event for event in client.events if isinstance(event, h2.events.WindowUpdated)]
        assert not [event for event in updates if event.stream_id == stream_id]
        turn.set_result(Answer(200, body=b"late"))
        assert (await client.answer(stream_id))[1] == b"late"
        client.close()


# --- ends ---


async def test_a_reset_by_the_client_tells_the_upstream_at_once():
    reset = asyncio.Event()

    async def script(peer: H2Peer) -> None:
        await peer.event(h2.events.RequestReceived)
        seen.set()
        await peer.event(h2.events.StreamReset)
        reset.set()

    seen = asyncio.Event()
    async with rig(upstream(script), relay=BY_H2C) as engine:
        client = await client_of(engine)
        stream_id = client.ask()
        await seen.wait()
        client.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        client.flush()
        await asyncio.wait_for(reset.wait(), PATIENCE_S)
        await engine.director.all_finished()
        assert engine.director.outcomes[0].failure is Failure.CLIENT_GONE
        client.close()


async def test_a_client_that_leaves_ends_every_stream():
    held = []

    def direct(request, port):
        held.append(asyncio.get_running_loop().create_future())
        return held[-1]

    async with rig(direct=direct) as engine:
        client = await client_of(engine)
        for _ in range(5):
            client.ask()
        await turns_until(lambda: len(held) == 5)
        client.peer.reset()
        await engine.director.all_finished()
        assert {outcome.failure for outcome in engine.director.outcomes} == {Failure.CLIENT_GONE}


async def test_a_reset_by_the_upstream_breaks_the_answer_off():
    async def script(peer: H2Peer) -> None:
        event = await peer.event(h2.events.RequestReceived)
        peer.h2.send_headers(event.stream_id, [(":status", "200")])
        peer.h2.send_data(event.stream_id, b"half")
        peer.h2.reset_stream(event.stream_id, ErrorCodes.INTERNAL_ERROR)
        peer.flush()
        await peer.gone()

    async with rig(upstream(script), relay=BY_H2C) as engine:
        client = await client_of(engine)
        await client.event(h2.events.StreamReset, client.ask())
        await engine.director.all_finished()
        assert engine.director.outcomes[0].failure is Failure.BROKEN_ANSWER
        client.close()


async def test_a_refused_stream_is_tried_again():
    count = 0

    async def script(peer: H2Peer) -> None:
        nonlocal count
        while not peer.is_over:
            event = await peer.event(h2.events.RequestReceived)
            peer.events.clear()
            count += 1
            if count == 1:
                peer.h2.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            else:
                peer.h2.send_headers(event.stream_id, [(":status", "204")], end_stream=True)
            peer.flush()

    async with rig(upstream(script), relay=BY_H2C) as engine:
        engine.director.on_retry = lambda request, failed, failure: failed
        client = await client_of(engine)
        assert (await client.answer(client.ask()))[0][":status"] == "204"
        assert engine.director.retries == [Failure.STALE]
        client.close()


async def test_goaway_of_the_upstream_moves_new_streams_to_another_connection():
    async def script(peer: H2Peer) -> None:
        event = await peer.event(h2.events.RequestReceived)
        state = peer.h2.state_machine.state
        peer.h2.close_connection(last_stream_id=event.stream_id)
        peer.h2.state_machine.state = state  # h2 takes its own GOAWAY as the end as well
        peer.h2.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
        peer.flush()
        await peer.gone()

    async with rig(upstream(script), relay=BY_H2C) as engine:
        client = await client_of(engine)
        for _ in range(3):
            assert (await client.answer(client.ask()))[0][":status"] == "200"
        assert len(engine.upstream.peers) == 3
        client.close()


async def test_an_upstream_that_does_not_speak_http2_is_a_refused_connection():
    async def handler(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with rig(handler, relay=BY_H2C) as engine:
        answer = await engine.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.status == 503
        assert engine.director.retries == [Failure.CONNECT]


async def test_drain_takes_what_is_on_its_way_and_refuses_what_comes_later(monkeypatch):
    monkeypatch.setattr(h2_client_side, "DRAIN_PING_S", 2 * PATIENCE_S)  # the client's answer to the ping ends it
    turns: list[asyncio.Future[Answer]] = []

    def direct(request, port):
        turns.append(asyncio.get_running_loop().create_future())
        return turns[-1]

    async with rig(direct=direct) as engine:
        client = await client_of(engine)
        first = client.ask()
        await turns_until(lambda: len(turns) == 1)
        draining = asyncio.ensure_future(engine.server.drain(PATIENCE_S))
        on_its_way = client.ask()  # sent before the client has seen the GOAWAY
        while not (ends := [e for e in client.events if isinstance(e, h2.events.ConnectionTerminated)])[1:]:
            await client.read()
        assert [(end.error_code, end.last_stream_id) for end in ends] == [(0, (1 << 31) - 1), (0, on_its_way)]
        late = client.ask()
        assert (await client.event(h2.events.StreamReset, late)).error_code == ErrorCodes.REFUSED_STREAM
        for turn in turns:
            turn.set_result(Answer(200, body=b"last"))
        assert [(await client.answer(stream_id))[1] for stream_id in (first, on_its_way)] == [b"last", b"last"]
        assert await draining is True
        await client.gone()


async def test_a_client_that_answers_no_ping_is_drained_too():
    async with rig() as engine:
        client = await client_of(engine)
        await client.answer(client.ask())
        client.flush = client.h2.data_to_send  # type: ignore[method-assign]
        draining = asyncio.ensure_future(engine.server.drain(PATIENCE_S))
        while not [e for e in client.events if isinstance(e, h2.events.ConnectionTerminated)][1:]:
            await client.read()
        await client.gone()
        assert await draining is True


async def test_timeouts_answer_504():
    async def handler(peer: Peer) -> None:
        await peer.rest()

    relay = {"timeouts": Timeouts(response_start_s=0.1)}
    async with rig(handler, relay=relay) as engine:
        client = await client_of(engine)
        headers, _, _ = await client.answer(client.ask())
        assert (headers[":status"], headers["x-tidegate-reason"]) == ("504", "response_start_timeout")
        client.close()


async def test_the_idle_timer_breaks_one_stream_off_and_no_other():
    async def script(peer: H2Peer) -> None:
        first = await peer.event(h2.events.RequestReceived)
        peer.h2.send_headers(first.stream_id, [(":status", "200")])
        peer.h2.send_data(first.stream_id, b"half")
        peer.flush()
        await echo(peer)

    def direct(request, port):
        timeouts = Timeouts(idle_s=60 if request.method == b"GET" else 600)
        return Relay("127.0.0.1", port, protocol=H2C, timeouts=timeouts)

    async with rig(upstream(script), direct=direct) as engine:
        client = await client_of(engine)
        stream_id = client.ask(GET, end=False)
        await client.event(h2.events.DataReceived, stream_id)
        engine.pass_time(61)
        await client.event(h2.events.StreamReset, stream_id)
        await engine.director.all_finished()
        assert engine.director.outcomes[0].failure is Failure.TIMEOUT_IDLE
        assert (await client.answer(client.ask(POST, b"hello")))[1] == b"hello"
        assert len(engine.upstream.peers) == 1
        client.close()


async def test_an_idle_connection_is_closed():
    async with rig(timers=ServerTimers(keep_alive_s=60)) as engine:
        client = await client_of(engine)
        await client.answer(client.ask())
        engine.pass_time(61)
        assert (await client.event(h2.events.ConnectionTerminated)).error_code == ErrorCodes.NO_ERROR
        await client.gone()


# --- floods ---


async def calmed(client: H2Peer) -> None:
    goaway = await client.event(h2.events.ConnectionTerminated)
    assert goaway.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    client.close()


@pytest.mark.parametrize(
    ("kind", "frame", "count"),
    [
        (h2_floods.SETTINGS, SettingsFrame(0).serialize(), 200),
        (h2_floods.PING, PingFrame(0, b"12345678").serialize(), 20_000),
        (h2_floods.EMPTY, b"\x00\x00\x00\xfa\x00\x00\x00\x00\x00", 20_000),
    ],
)
async def test_a_flood_of_cheap_frames_ends_the_connection(kind, frame, count):
    async with rig() as engine:
        client = await client_of(engine)
        client.peer.send(frame * count)
        await calmed(client)
        assert engine.server.counters.floods == {kind: 1}
        await turns_until(lambda: engine.server.counters.connections_open == 0)


async def test_rapid_resets_end_the_connection():
    async with rig() as engine:
        client = await client_of(engine)
        for _ in range(800):
            stream_id = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream_id, GET, end_stream=True)
            client.h2.reset_stream(stream_id)
        client.flush()
        await calmed(client)
        assert engine.server.counters.floods == {h2_floods.RESET: 1}


async def test_taking_back_what_was_answered_is_no_flood():
    async def script(peer: H2Peer) -> None:
        while not peer.is_over:
            for event in [e for e in peer.events if isinstance(e, h2.events.RequestReceived)]:
                peer.h2.send_headers(event.stream_id, [(":status", "200")])
            peer.events.clear()
            peer.flush()
            await peer.read()

    async with rig(upstream(script), relay=BY_H2C) as engine:
        client = await client_of(engine)
        for _ in range(700):
            stream_id = client.ask()
            await client.event(h2.events.ResponseReceived, stream_id)
            client.h2.reset_stream(stream_id)
            client.events.clear()
        client.flush()
        await engine.director.all_finished()
        assert engine.server.counters.floods == {}
        client.close()


async def test_streams_beyond_the_limit_are_refused():
    held = asyncio.get_running_loop().create_future()
    async with rig(direct=lambda request, port: held) as engine:
        client = await client_of(engine)
        asked = [client.ask() for _ in range(120)]
        reset = await client.event(h2.events.StreamReset, asked[100])
        assert reset.error_code == ErrorCodes.REFUSED_STREAM
        assert len(engine.director.requests) == 100
        client.close()


async def test_a_header_bomb_ends_the_connection():
    async with rig() as engine:
        client = await client_of(engine)
        client.ask([*GET, *[("x-bomb", "x" * 3000)] * 100])
        await calmed(client)
        assert engine.server.counters.floods == {"headers": 1}
        assert engine.director.requests == []


async def test_continuation_without_end_ends_the_connection():
    async with rig() as engine:
        client = await client_of(engine)
        client.peer.send(HeadersFrame(1).serialize() + ContinuationFrame(1, b"").serialize() * 100)
        await calmed(client)
        assert engine.server.counters.floods == {"headers": 1}
        assert engine.director.requests == []


async def test_an_answer_that_is_never_taken_is_dropped():
    timers = ServerTimers(stalled_s=0.1)
    async with rig(direct=lambda request, port: Answer(200, body=bytes(10_000)), timers=timers) as engine:
        client = await client_of(engine)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        reset = await client.event(h2.events.StreamReset, client.ask())
        assert reset.error_code == ErrorCodes.ENHANCE_YOUR_CALM
        assert engine.server.counters.floods == {"stalled": 1}
        client.close()


# --- real clients ---


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl():
    async with rig(upstream(echo), relay=BY_H2C) as engine:
        process = await asyncio.create_subprocess_exec(
            "curl", "-sS", "--http2-prior-knowledge", "-d", "hello", "-w", " %{http_version} %{http_code}",
            f"http://127.0.0.1:{engine.server.port}/x",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        if b"unsupported" in err or process.returncode == 1:
            pytest.skip("this curl has no HTTP/2")
        assert out == b"hello 2 200"
