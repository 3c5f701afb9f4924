"""Every header that some hop treats in a way of its own, sent through each hop; the table of the docs says the same."""

from __future__ import annotations

import re
from pathlib import Path

import h2.events
import pytest

from tests.support.h2_peers import H2Peer, upstream
from tests.support.hop_worlds import HOPS, world
from tests.support.wire import OK, Peer
from tidegate.contracts import headers

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OURS = {
    "gateway": {headers.NAMESPACE, headers.REVISION, *headers.FORWARDING},
    "activator": {headers.PROXY_REQUEST},
    "queueproxy": set(),
}
"""What each hop writes itself for an ordinary request."""
HOP_BY_HOP = (
    "Connection: keep-alive, X-Named\r\nX-Named: client\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n"
    "Proxy-Authorization: Basic eA==\r\nTE: gzip\r\n"
)


async def passed(hop: str, lines: str) -> dict[bytes, list[bytes]]:
    """Return what reaches the upstream of a hop, by lower-case name."""
    heads: list[bytes] = []

    async def remember(peer: Peer) -> None:
        heads.append(await peer.head())
        peer.send(OK)

    async with world(hop, remember) as w:
        answer = await w.ask(lines)
        assert answer.status == 200, answer
    found: dict[bytes, list[bytes]] = {}
    for line in heads[0].split(b"\r\n")[1:-2]:
        name, _, value = line.partition(b": ")
        found.setdefault(name.lower(), []).append(value)
    return found


def value_for(rule: headers.Rule) -> str:
    values = {b"traceparent": TRACE, b"tracestate": "a=client", headers.UNCOUNTED: "client"}
    return values.get(rule.name, "client")


def name_for(rule: headers.Rule) -> str:
    return rule.name.decode().replace("*", "Anything").title()


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("rule", headers.RULES, ids=lambda rule: rule.name.decode())
async def test_each_header_through_each_hop(rule: headers.Rule, hop: str) -> None:
    if rule.name in (headers.NETWORK_PROBE, headers.NAMESPACE, headers.REVISION) and hop != "gateway":
        pytest.skip("it decides there where the request goes; tests of that hop have it")
    name = name_for(rule)
    beside = f"traceparent: {TRACE}\r\n" if rule.name == b"tracestate" else ""
    found = await passed(hop, f"{beside}{name}: {value_for(rule)}\r\n")
    got = found.get(name.lower().encode(), [])
    is_marked = hop == "activator" and rule.name == headers.UNCOUNTED  # the mark goes on, in our spelling
    if hop == "gateway":
        if rule.at_edge in (headers.PASSED, headers.CHECKED):
            assert got == [value_for(rule).encode()]
        else:
            assert len(got) == (rule.at_edge == headers.REPLACED)
            assert value_for(rule).encode() not in got
    elif rule.reaches_app:
        assert got == [value_for(rule).encode()]
    else:
        assert len(got) == (rule.name in OURS[hop] or is_marked)
        assert b"client" not in got


@pytest.mark.parametrize("hop", HOPS)
async def test_an_ordinary_request_gets_what_this_hop_writes_and_no_more(hop: str) -> None:
    found = await passed(hop, f"traceparent: {TRACE}\r\n")
    assert found.keys() - {b"host", b"accept", b"traceparent"} == OURS[hop]
    assert all(len(values) == 1 for values in found.values())


@pytest.mark.parametrize("hop", HOPS)
async def test_headers_of_one_connection_end_with_it(hop: str) -> None:
    found = await passed(hop, HOP_BY_HOP)
    gone = (b"connection", b"x-named", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te")
    assert [name for name in gone if name in found] == []


async def test_a_trace_that_is_not_valid_is_replaced_at_the_edge() -> None:
    found = await passed("gateway", "traceparent: nonsense\r\ntracestate: a=b\r\n")
    [value] = found[b"traceparent"]
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-00", value)
    assert b"tracestate" not in found


def test_the_table_of_the_docs_is_this_one() -> None:
    page = PAGE.read_text()
    rows = re.findall(
        r"^\| `([\w*-]+)` \| ([\w, ]+) \| (passed|replaced|stripped|checked) \| (yes|no) \| (.+) \|$", page, re.M
    )
    assert rows == [
        (
            name_for(rule).replace("Anything", "*"),
            rule.set_by,
            rule.at_edge,
            "yes" if rule.reaches_app else "no",
            rule.meaning,
        )
        for rule in headers.RULES
    ]


ANSWER = (
    "HTTP/1.1 103 Early Hints\r\nX-Tidegate-Reason: hint\r\nX-Own: hint\r\n\r\n"
    "HTTP/1.1 200 OK\r\n{name}: app\r\nTransfer-Encoding: chunked\r\n\r\n"
    "2\r\nok\r\n0\r\n{name}: app\r\nX-After: app\r\n\r\n"
)


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("rule", headers.ANSWER_RULES, ids=lambda rule: rule.name.decode())
async def test_each_header_of_an_answer_through_each_hop(rule: headers.AnswerRule, hop: str) -> None:
    name = answer_name_for(rule)
    passes = rule.leaves_app or hop != "queueproxy"

    async def say(peer: Peer) -> None:
        while True:
            await peer.head()
            peer.send(ANSWER.format(name=name.lower()).encode())

    async with world(hop, say) as w:
        client = await w.begin()
        hint = await client.answer()
        assert (hint.status, hint.header("x-own")) == (103, "hint")
        assert (hint.reason is None) is (hop == "queueproxy")
        answer = await client.answer()
        assert (answer.body, answer.header(name) == "app") == (b"ok", passes)
        assert b"X-After: app\r\n" in answer.trailers
        if name != "Date":  # framing and what describes the content may not come behind it
            assert (name.lower().encode() in answer.trailers) is passes


@pytest.mark.parametrize("user_protocol", ["http1", "h2c"])
async def test_an_app_cannot_answer_in_the_name_of_tidegate_by_http2(user_protocol: str) -> None:
    async def say(peer: Peer) -> None:
        while True:
            await peer.head()
            peer.send(ANSWER.format(name="X-Tidegate-Reason").encode())

    async def say_by_h2(peer: H2Peer) -> None:
        asked = await peer.event(h2.events.RequestReceived)
        forged = [("x-tidegate-reason", "app"), ("x-tidegate-more", "app"), ("x-after", "app")]
        peer.h2.send_headers(asked.stream_id, [(":status", "103"), *forged])
        peer.h2.send_headers(asked.stream_id, [(":status", "200"), *forged])
        peer.h2.send_data(asked.stream_id, b"ok")
        peer.h2.send_headers(asked.stream_id, forged, end_stream=True)
        peer.flush()
        await peer.gone()

    script = upstream(say_by_h2) if user_protocol == "h2c" else say
    async with world("queueproxy", script, user_protocol=user_protocol) as w:
        client = H2Peer(await w.send(""), is_client=True)
        stream_id = client.ask()
        head, body, trailers = await client.answer(stream_id)
        hint = await client.event(h2.events.InformationalResponseReceived, stream_id)
        assert (body, trailers) == (b"ok", {"x-after": "app"})
        assert [name for name, _ in [*head.items(), *hint.headers] if name.startswith("x-tidegate-")] == []


async def test_an_app_that_repeats_its_answer_is_not_believed_the_second_time_either() -> None:
    """Heads that repeat are not parsed anew; neither these."""
    raw = b"HTTP/1.1 200 OK\r\nX-Tidegate-Reason: app\r\nContent-Length: 2\r\n\r\nok"

    async def say(peer: Peer) -> None:
        while True:
            await peer.head()
            peer.send(raw)

    async with world("queueproxy", say) as w:
        client = await w.begin()
        for _ in range(3):
            answer = await client.answer()
            assert (answer.status, answer.reason, answer.body) == (200, None, b"ok")
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert len(w.upstream.peers) == 1


def answer_name_for(rule: headers.AnswerRule) -> str:
    return rule.name.decode().replace("*", "Anything").title()


def test_the_table_of_answers_in_the_docs_is_this_one() -> None:
    rows = re.findall(r"^\| `([\w*-]+)` \| ([\w ]+) \| (yes|no) \| (.+) \|$", PAGE.read_text(), re.M)
    assert rows == [
        (answer_name_for(rule).replace("Anything", "*"), rule.set_by, "yes" if rule.leaves_app else "no", rule.meaning)
        for rule in headers.ANSWER_RULES
    ]
