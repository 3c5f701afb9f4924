"""Heads between HTTP/2 and HTTP/1.1: what is refused, what is left out, what is added."""

from __future__ import annotations

import pytest

from tidegate.wire import chunked, header_rules
from tidegate.wire.h2_floods import PING, RESET, FloodGuard
from tidegate.wire.h2_heads import RequestHead, StreamAnswer, headers_of, request_headers
from tidegate.wire.head_reader import HeadRefused
from tidegate.wire.limits import Limits

KINDS = header_rules.request_kinds(frozenset({b"x-secret"}), (b"k-",))
GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"A.example:80"), (b":path", b"/x?y")]


def read(*lines, ended=True, pseudo=GET):
    return RequestHead([*pseudo, *lines], ended=ended, kinds=KINDS, limits=Limits(), peer="1.2.3.4", arrived=0.0)


def test_a_head_becomes_lines_and_back():
    head = read((b"te", b"trailers"), (b"x-secret", b"1"), (b"accept", b"*/*"))
    assert head.block == b"Host: A.example:80\r\naccept: */*\r\nTE: trailers\r\n"
    assert (head.request.host, head.length) == ("a.example", 0)
    assert head.request.header(b"x-secret") == b"1"
    assert request_headers(head.request, head.block) == [*GET[:1], *GET[1:2], GET[3], GET[2],
                                                         (b"accept", b"*/*"), (b"te", b"trailers")]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "ended", "length"),
    [([], True, 0), ([], False, chunked.CHUNKED), ([(b"content-length", b"5")], False, 5)],
)
def test_the_length_of_a_body(lines, ended, length):
    head = read(*lines, ended=ended)
    assert head.length == length
    assert (b"Transfer-Encoding: chunked" in head.block) == (length == chunked.CHUNKED)


@pytest.mark.parametrize(
    ("lines", "ended"),
    [
        ([(b"content-length", b"5")], True),
        ([(b"content-length", b"5"), (b"content-length", b"6")], False),
        ([(b"content-length", b"+5")], False),
        ([(b"content-length", b"")], False),
        ([(b"x-a", b"1\r\nx-b: 2")], True),
        ([(b"x-a", b"\x00")], True),
        ([(b"x a", b"1")], True),
        ([(b"x-a:", b"1")], True),
        ([(b"", b"1")], True),
    ],
)
def test_what_would_be_read_differently_behind_us_is_refused(lines, ended):
    with pytest.raises(HeadRefused):
        read(*lines, ended=ended)


@pytest.mark.parametrize("path", [b"/a b", b"/a\r\nx: y", b"http://a/", b"", b"*"])
def test_a_bad_target_is_refused(path):
    with pytest.raises(HeadRefused):
        read(pseudo=[*GET[:3], (b":path", path)])


def test_an_answer_keeps_what_the_client_may_see():
    answer = StreamAnswer(
        [(b":status", b"200"), (b"x-a", b"1"), (b"date", b"today")], ended=False, to_head_request=False
    )
    assert answer.client_head(b"X-F: 1\r\n", b"X-D: 1\r\n") == (
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\ndate: today\r\nX-D: 1\r\nX-F: 1\r\n\r\n"
    )
    assert answer.length == chunked.CHUNKED
    with pytest.raises(HeadRefused):
        StreamAnswer([(b":status", b"2x0")], ended=True, to_head_request=False)


def test_what_only_http1_knows_is_left_out():
    assert headers_of(b"Connection: close\r\nTransfer-Encoding: chunked\r\nX-A:  b \r\n\r\n") == [(b"x-a", b"b")]


def test_a_bucket_empties_and_refills():
    guard = FloodGuard()
    assert all(guard.spend(RESET, 0.0) for _ in range(500))
    assert not guard.spend(RESET, 0.0)
    assert guard.spend(PING, 0.0)
    assert guard.spend(RESET, 1.0)
