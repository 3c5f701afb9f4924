"""Heads without sockets: the same bytes in any split give the same request, lines and framing."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contracts import outcomes
from tidegate.wire import answer_head, chunked, header_rules
from tidegate.wire.answer_head import AnswerHeadReader
from tidegate.wire.director import Request
from tidegate.wire.head_reader import HeadRefused
from tidegate.wire.limits import Limits
from tidegate.wire.request_head import RequestHeadReader

KINDS = header_rules.request_kinds(frozenset({b"x-secret"}), (b"k-",))
TOKEN = st.from_regex(re.compile(rb"[A-Za-z][A-Za-z0-9\-]{0,12}"), fullmatch=True)
VALUE = st.from_regex(re.compile(rb"([!-~]([ !-~]{0,20}[!-~])?)?"), fullmatch=True)


class Same:
    """A request that equals another one of the same content."""

    def __init__(self, request: Request) -> None:
        named = (request.method, request.target, request.host, request.headers, request.index, request.http_version)
        self.content = (*named, request.is_upgrade, request.peer, request.arrived, request.attempts, request.state)
        self.of = request

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.content == other.content

    def __repr__(self) -> str:
        return f"Same{self.content}"

    __hash__ = None  # type: ignore[assignment]


def read_request(raw: bytes, cuts: list[int], target_bytes: int = 1000) -> tuple[object, ...]:
    """Read one head in pieces on a new connection; return all that was understood, or the refusal."""
    return read_on(RequestHeadReader(Limits(head_bytes=4096, target_bytes=target_bytes), KINDS), raw, cuts)


def read_on(reader: RequestHeadReader, raw: bytes, cuts: Sequence[int] = ()) -> tuple[object, ...]:
    """Read the next head in pieces; return all that was understood, or the refusal."""
    position = 0
    try:
        for cut in [*cuts, len(raw)]:
            piece = raw[position : position + cut]
            if piece and not reader.done:
                position += reader.feed(piece)
        if not reader.done:
            return ("incomplete",)
        request = reader.take("1.2.3.4", 5.0)
    except HeadRefused as refused:
        return (refused.reason.code,)
    reader.reset()
    assert reader.begin.startswith(b"%b %b HTTP/1.1\r\n" % (request.method, request.target))
    return (Same(request), _block(reader), reader.length, reader.keep_alive, raw[position:])


@given(
    headers=st.lists(st.tuples(TOKEN, VALUE), max_size=12),
    cuts=st.lists(st.integers(min_value=1, max_value=60), max_size=30),
    rest=st.binary(max_size=30),
)
def test_any_split_gives_the_same_request(headers: list[tuple[bytes, bytes]], cuts: list[int], rest: bytes) -> None:
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    raw = b"POST /some/path?query=1 HTTP/1.1\r\nHost: a.example:80\r\n" + lines + b"Content-Length: 7\r\n\r\n" + rest
    whole = read_request(raw, [])
    assert read_request(raw, cuts) == whole
    if len(whole) > 1:
        assert whole[2:] == (7, whole[3], rest)


@given(raw=st.binary(max_size=300), cuts=st.lists(st.integers(min_value=1, max_value=60), max_size=30))
def test_garbage_never_raises_anything_else(raw: bytes, cuts: list[int]) -> None:
    read_request(raw, cuts)


@given(position=st.integers(min_value=0, max_value=70), byte=st.integers(min_value=0, max_value=255))
def test_one_flipped_byte_gives_one_verdict_in_any_split(position: int, byte: int) -> None:
    raw = bytearray(b"GET /path HTTP/1.1\r\nHost: a\r\nX-Some: thing\r\nAccept: */*\r\nX: y\r\n\r\n")
    raw[min(position, len(raw) - 1)] = byte
    whole = read_request(bytes(raw), [])
    bytewise = read_request(bytes(raw), [1] * len(raw))
    assert whole == bytewise


def test_special_headers_are_found_in_any_spelling() -> None:
    raw = (
        b"GET / HTTP/1.1\r\nhOST: A.Example.\r\nK-Thing: 1\r\nX-SECRET: 2 \r\naccept: 3\r\nAccept: 4\r\nX-A: 5 \r\n\r\n"
    )
    request, lines, *_ = read_request(raw, [])
    assert request.of.host == "a.example"  # type: ignore[attr-defined]
    assert request.of.header(b"k-thing") == b"1"  # type: ignore[attr-defined]
    assert request.of.header(b"x-secret") == b"2"  # type: ignore[attr-defined]
    assert request.of.header(b"accept") == b"3"  # type: ignore[attr-defined]
    assert request.of.header(b"x-a") == b"5 "  # type: ignore[attr-defined]
    assert request.of.header(b"x-none") is None  # type: ignore[attr-defined]
    assert lines == b"hOST: A.Example.\r\naccept: 3\r\nAccept: 4\r\nX-A: 5 \r\n"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"a", "a"),
        (b"A.B:8080", "a.b"),
        (b"[::1]:80", "[::1]"),
        (b"10.0.0.1:1", "10.0.0.1"),
        (b"", ""),
        (b"tag-x.default.localhost", "tag-x.default.localhost"),
    ],
)
def test_hosts(host: bytes, expected: str) -> None:
    request, *_ = read_request(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host, [])
    assert request.of.host == expected  # type: ignore[attr-defined]


def test_connection_cannot_name_framing_or_host_away() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, x-a\r\nX-A: 1\r\nContent-Length: 3\r\n\r\n"
    _, lines, length, keep_alive, _ = read_request(raw, [])
    assert (lines, length, keep_alive) == (b"Host: a\r\nContent-Length: 3\r\n", 3, True)


def test_named_headers_leave_a_chunked_request_chunked() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: x-a, x-secret\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, lines, length, *_ = read_request(raw, [])
    assert (lines, length) == (b"Host: a\r\nTransfer-Encoding: chunked\r\n", chunked.CHUNKED)


def test_expectation_without_a_body_is_dropped() -> None:
    _, lines, *_ = read_request(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", [])
    assert lines == b"Host: a\r\n"


def test_absolute_form_replaces_host() -> None:
    request, lines, *_ = read_request(b"OPTIONS http://b.c:1 HTTP/1.1\r\nX: 1\r\nHost: a\r\n\r\n", [])
    assert (request.of.target, request.of.host) == (b"*", "b.c")  # type: ignore[attr-defined]
    assert lines == b"X: 1\r\nHost: b.c:1\r\n"


def read_answer(raw: bytes, *, to_head: bool = False) -> AnswerHeadReader:
    reader = AnswerHeadReader(Limits())
    reader.feed(raw)
    assert reader.done
    reader.finish(to_head)
    return reader


@pytest.mark.parametrize(
    ("lines", "length", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", 5, True),
        (b"HTTP/1.1 200 OK\r\n", chunked.UNTIL_CLOSE, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", chunked.CHUNKED, True),
        (b"HTTP/1.1 204 No Content\r\n", 0, True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", 5, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n", 5, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n", 5, False),
    ],
)
def test_answer_framing(lines: bytes, length: int, keep_alive: bool) -> None:
    answer = read_answer(lines + b"\r\n")
    assert (answer.length, answer.keep_alive) == (length, keep_alive)


@pytest.mark.parametrize(
    "lines",
    [
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n",
    ],
)
def test_answers_refused(lines: bytes) -> None:
    with pytest.raises(HeadRefused) as refused:
        read_answer(lines + b"\r\n")
    assert refused.value.reason in (outcomes.UPSTREAM_FAILED, outcomes.BAD_REQUEST)


def test_date_is_added_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_767_571_200.0)
    added = read_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").client_head(b"", b"")
    assert b"\r\nDate: Mon, 05 Jan 2026 00:00:00 GMT\r\n" in added
    kept = read_answer(b"HTTP/1.1 200 OK\r\ndate: x\r\nContent-Length: 0\r\n\r\n").client_head(b"", b"")
    assert kept.lower().count(b"date:") == 1
    assert answer_head.date_line() is answer_head.date_line()


def test_spellings_are_kept_within_a_bound() -> None:
    kinds = header_rules.request_kinds(frozenset(), ())
    for number in range(header_rules.SPELLINGS_KEPT + 100):
        assert kinds[b"x-%d" % number] == header_rules.PASS
    assert len(kinds) == header_rules.SPELLINGS_KEPT
    assert kinds[b"HOST"] == header_rules.HOST


def test_framing_headers_cannot_be_stripped() -> None:
    kinds = header_rules.request_kinds(frozenset({b"host", b"content-length", b"accept"}), (b"con",))
    assert kinds[b"Host"] == header_rules.HOST
    assert kinds[b"Content-Length"] == header_rules.LENGTH
    assert kinds[b"Accept"] == header_rules.STRIPPED
    assert kinds[b"Content-Language"] == header_rules.STRIPPED


REPEATED = [
    b"GET /a HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX-A: 2\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-B: 1\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nK-A: 1\r\n\r\n",
    b"GET /u HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    b"GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]


@given(
    order=st.lists(st.sampled_from(range(len(REPEATED))), max_size=12),
    cuts=st.lists(st.integers(min_value=1, max_value=200), max_size=30),
)
def test_repeated_heads_say_the_same_as_on_a_new_connection(order: list[int], cuts: list[int]) -> None:
    reader = RequestHeadReader(Limits(), KINDS)
    stream = b"".join(REPEATED[number] for number in order)
    got: list[tuple[Any, ...]] = []
    position = 0
    for cut in [*cuts, len(stream)]:
        piece, start = stream[position : position + cut], 0
        position += len(piece)
        while start < len(piece):
            start = reader.feed(piece, start)
            if reader.done:
                request = reader.take("1.2.3.4", 5.0)
                request.headers.append((b"changed", b"by the director"))
                request.index[b"changed"] = b"too"
                got.append((request, _block(reader), reader.length, reader.keep_alive))
                reader.reset()
    assert len(got) == len(order)
    for number, (request, block, *rest) in zip(order, got, strict=True):
        fresh = RequestHeadReader(Limits(), KINDS)
        fresh.feed(REPEATED[number].lstrip())
        expected = fresh.take("1.2.3.4", 5.0)
        expected.headers.append((b"changed", b"by the director"))
        expected.index[b"changed"] = b"too"
        assert Same(request) == Same(expected)
        assert (block, *rest) == (_block(fresh), fresh.length, fresh.keep_alive)


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nDate: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
]


@given(order=st.lists(st.tuples(st.sampled_from(range(len(ANSWERS))), st.booleans()), max_size=12))
def test_repeated_answers_say_the_same_as_on_a_new_connection(order: list[tuple[int, bool]]) -> None:
    reader = AnswerHeadReader(Limits())
    for number, to_head in order:
        reader.reset()
        assert reader.feed(ANSWERS[number] + b"rest") == len(ANSWERS[number])
        reader.finish(to_head)
        fresh = read_answer(ANSWERS[number], to_head=to_head)
        said = (reader.status, reader.length, reader.keep_alive)
        assert said == (fresh.status, fresh.length, fresh.keep_alive)
        assert _dateless(reader) == _dateless(fresh)


def _dateless(answer: AnswerHeadReader) -> bytes:
    return re.sub(rb"Date: [^x]+?\r\n", b"", answer.client_head(b"", b""))


METHODS = st.sampled_from([b"GET", b"HEAD", b"DELETE", b"POST", b"OPTIONS", b"CONNECT"])
TARGETS = st.one_of(
    st.from_regex(re.compile(rb"/[0-9A-Za-z._~!$&'()*+,;=:@%/?-]{0,12}"), fullmatch=True),
    st.sampled_from(
        [b"*", b"/", b"http://b/c", b"/a b", b"/#x", b"/\xc3\xa9", b"/a\tb", b"//", b"/[", b'/"', b"/a HTTP/1.1"]
    ),
    st.binary(min_size=1, max_size=6).map(lambda tail: b"/" + tail),
)
TAILS = st.sampled_from(
    [
        b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nK-A: 1\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nX-A: " + b"x" * 200 + b"\r\n\r\n",
        b" HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\n\r\nGET /behind HTTP/1.1\r\nHost: a\r\n\r\n",
        b"  HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
)


@given(heads=st.lists(st.tuples(METHODS, TARGETS, TAILS), min_size=2, max_size=8), data=st.data())
def test_the_short_way_of_a_known_request_says_what_the_parser_says(
    heads: list[tuple[bytes, bytes, bytes]], data: st.DataObject
) -> None:
    """Heads that differ in the target alone, and heads that do not, in a row on one connection."""
    reader = RequestHeadReader(Limits(target_bytes=100), KINDS)
    method, target, tail = heads[0]
    for other in heads:
        changed = data.draw(st.sampled_from(["target", "target", "method", "all"]))
        method = other[0] if changed != "target" else method
        target = other[1] if changed != "method" else target
        tail = other[2] if changed == "all" else tail
        head = b"%b %b%b" % (method, target, tail)
        expected = read_request(head, [], target_bytes=100)
        if reader.is_alone(head):
            got = (Same(reader.again("1.2.3.4", 5.0)), _block(reader), reader.length, reader.keep_alive, b"")
        else:
            got = read_on(reader, head)
        assert got == expected
        if len(got) == 1 or not reader.keep_alive:
            return  # such a connection ends


def test_another_target_takes_the_short_way() -> None:
    reader = RequestHeadReader(Limits(), KINDS)
    tail = b" HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n"
    read_on(reader, b"GET /first" + tail)
    assert reader.is_alone(b"GET /second?x=%20&y" + tail)
    assert not reader.is_alone(b"HEAD /second" + tail)
    assert not reader.is_alone(b"GET /sec ond" + tail)
    assert not reader.is_alone(b"GET /second" + tail + b"G")
    assert not reader.is_alone(b"GET /" + b"x" * 2048 + tail)
    assert reader.again("p", 1.0).target == b"/second?x=%20&y"
    assert reader.begin == b"GET /second?x=%20&y" + tail[:-2]


def _block(reader: RequestHeadReader) -> bytes:
    """Return the header lines for the upstream, spaced as they are when their head came in pieces."""
    return re.sub(rb"(?m)^([^:]*):[ \t]*", rb"\1: ", reader.begin.partition(b"\r\n")[2])
