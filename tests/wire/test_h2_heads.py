"""Heads between HTTP/2 and HTTP/1.1: what is refused, what is left out, what is added, and how a head is encoded."""

from __future__ import annotations

import hpack
import pytest

from tidegate.wire import chunked, header_rules
from tidegate.wire.director import Request
from tidegate.wire.h2_floods import PING, RESET, FloodGuard
from tidegate.wire.h2_heads import (
    ANY_LENGTH,
    HeadMalformed,
    RequestHead,
    StreamAnswer,
    encoded_answer,
    encoded_request,
    trailers_of,
)
from tidegate.wire.head_reader import HeadRefused
from tidegate.wire.limits import Limits

KINDS = header_rules.request_kinds(frozenset({b"x-secret"}), (b"k-",))
METHOD, SCHEME, AUTHORITY, PATH = (
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":authority", b"A.example:80"),
    (b":path", b"/x?y"),
)
GET = [METHOD, SCHEME, AUTHORITY, PATH]


def read(*lines, ended=True, pseudo=GET):
    return RequestHead([*pseudo, *lines], ended=ended, kinds=KINDS, limits=Limits())


def decoded(block):
    return [tuple(header) for header in hpack.Decoder().decode(block, raw=True)]


def test_a_head_becomes_lines_and_a_block():
    head = read((b"te", b"trailers"), (b"x-secret", b"1"), (b"accept", b"*/*"))
    assert head.block == b"Host: A.example:80\r\naccept: */*\r\nTE: trailers\r\n"
    assert decoded(head.encoded) == [PATH, METHOD, SCHEME, AUTHORITY, (b"accept", b"*/*"), (b"te", b"trailers")]
    request = head.request("1.2.3.4", 7.0)
    assert (request.method, request.target, request.host, request.http_version) == (b"GET", b"/x?y", "a.example", "2")
    assert (request.peer, request.arrived, request.header(b"x-secret")) == ("1.2.3.4", 7.0, b"1")
    assert head.length == 0


def test_every_request_of_a_head_has_lists_of_its_own():
    head = read((b"accept", b"*/*"))
    first, second = head.request("a", 0.0), head.request("a", 0.0)
    first.headers.clear()
    first.index.clear()
    assert (second.header(b"accept"), len(second.headers)) == (b"*/*", 2)


@pytest.mark.parametrize(
    ("lines", "ended", "length"),
    [([], True, 0), ([], False, chunked.CHUNKED), ([(b"content-length", b"5")], False, 5)],
)
def test_the_length_of_a_body(lines, ended, length):
    head = read(*lines, ended=ended)
    assert head.length == length
    assert (b"Transfer-Encoding: chunked" in head.block) == (length == chunked.CHUNKED)
    assert b"transfer-encoding" not in [name for name, _ in decoded(head.encoded)]


@pytest.mark.parametrize(
    ("lines", "ended"),
    [
        ([(b"content-length", b"5")], True),
        ([(b"content-length", b"5"), (b"content-length", b"6")], False),
        ([(b"content-length", b"5"), (b"content-length", b"5")], False),
        ([(b"content-length", b"+5")], False),
        ([(b"content-length", b"")], False),
        ([(b"x-a", b"1\r\nx-b: 2")], True),
        ([(b"x-a", b"\x00")], True),
        ([(b"x-a", b" 1")], True),
        ([(b"x-a", b"1\t")], True),
        ([(b"x a", b"1")], True),
        ([(b"X-A", b"1")], True),
        ([(b"x-a:", b"1")], True),
        ([(b"", b"1")], True),
        ([(b"connection", b"close")], True),
        ([(b"keep-alive", b"5")], True),
        ([(b"proxy-connection", b"close")], True),
        ([(b"transfer-encoding", b"chunked")], False),
        ([(b"upgrade", b"websocket")], True),
        ([(b"te", b"gzip")], True),
        ([(b"te", b"trailers, gzip")], True),
        ([(b":status", b"200")], True),
        ([(b":unknown", b"1")], True),
        ([METHOD], True),
        ([(b"x-a", b"1"), PATH], True),
    ],
)
def test_what_rfc_9113_calls_malformed(lines, ended):
    with pytest.raises(HeadMalformed):
        read(*lines, ended=ended)


@pytest.mark.parametrize("left_out", [METHOD, SCHEME, PATH])
def test_a_missing_pseudo_header_is_malformed(left_out):
    with pytest.raises(HeadMalformed):
        read(pseudo=[line for line in GET if line is not left_out])


def test_an_empty_path_is_malformed():
    with pytest.raises(HeadMalformed):
        read(pseudo=[*GET[:3], (b":path", b"")])


@pytest.mark.parametrize("path", [b"/a b", b"/a\r\nx: y", b"http://a/", b"*"])
def test_a_bad_target_is_answered(path):
    with pytest.raises(HeadRefused) as refused:
        read(pseudo=[*GET[:3], (b":path", path)])
    assert (refused.type, refused.value.reason.status) == (HeadRefused, 400)


@pytest.mark.parametrize(
    ("pseudo", "lines", "host"),
    [
        (GET, [(b"host", b"A.example:80")], "a.example"),
        ([METHOD, SCHEME, PATH], [(b"host", b"b.example")], "b.example"),
        (GET, [(b"host", b"b.example")], None),
        ([METHOD, SCHEME, PATH], [(b"host", b"a"), (b"host", b"b")], None),
        ([METHOD, SCHEME, PATH], [], None),
        ([METHOD, SCHEME, PATH, (b":authority", b"u@a")], [], None),
    ],
)
def test_there_is_one_authority(pseudo, lines, host):
    if host is None:
        with pytest.raises(HeadRefused) as refused:
            read(*lines, pseudo=pseudo)
        assert refused.value.reason.status == 400
    else:
        head = read(*lines, pseudo=pseudo)
        assert head.request("", 0.0).host == host
        assert head.block.lower().count(b"host:") == 1


def test_crumbs_of_cookies_become_one_header():
    head = read((b"cookie", b"a=1"), (b"x-a", b"1"), (b"cookie", b"b=2"))
    assert head.block == b"Host: A.example:80\r\nx-a: 1\r\ncookie: a=1; b=2\r\n"


@pytest.mark.parametrize(("value", "ended", "passed"), [(b"100-continue", False, True), (b"100-Continue", True, False)])
def test_an_expectation_passes_where_there_is_a_body(value, ended, passed):
    head = read((b"expect", value), ended=ended)
    assert (b"expect: " in head.block) == passed
    assert ((b"expect", value) in decoded(head.encoded)) == passed


def test_an_expectation_that_nobody_can_meet_is_417():
    with pytest.raises(HeadRefused) as refused:
        read((b"expect", b"magic"), ended=False)
    assert refused.value.reason.status == 417


def test_an_answer_keeps_what_the_client_may_see():
    lines = [(b"x-a", b"1"), (b"date", b"today"), (b"proxy-authenticate", b"x")]
    answer = StreamAnswer([(b":status", b"200"), *lines], ended=False, to_head_request=False)
    assert answer.client_head(b"X-F: 1\r\n", b"X-D: 1\r\n") == (
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\ndate: today\r\nX-D: 1\r\nX-F: 1\r\n\r\n"
    )
    assert decoded(answer.encoded(b"X-D: 1\r\n")) == [(b":status", b"200"), *lines[:2], (b"x-d", b"1")]
    assert (answer.length, answer.expected) == (chunked.CHUNKED, ANY_LENGTH)


def test_an_answer_without_date_gets_one_and_an_interim_one_does_not():
    answer = StreamAnswer([(b":status", b"200")], ended=True, to_head_request=False)
    assert [name for name, _ in decoded(answer.encoded(b""))] == [b":status", b"date"]
    assert b"Date: " in answer.client_head(b"", b"")
    hint = StreamAnswer([(b":status", b"103"), (b"link", b"</a>")], ended=False, to_head_request=False)
    assert decoded(hint.encoded(b"")) == [(b":status", b"103"), (b"link", b"</a>")]
    assert hint.client_head(b"", b"") == b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "ended"),
    [
        ([(b":status", b"2x0")], True),
        ([(b":status", b"099")], True),
        ([], True),
        ([(b":status", b"101")], False),
        ([(b":status", b"100")], True),
        ([(b":status", b"200"), (b":path", b"/")], True),
        ([(b":status", b"200"), (b"connection", b"close")], True),
        ([(b":status", b"200"), (b"content-length", b"5")], True),
        ([(b":status", b"200"), (b"x", b"a\nb")], True),
    ],
)
def test_a_malformed_answer(headers, ended):
    with pytest.raises(HeadRefused):
        StreamAnswer(headers, ended=ended, to_head_request=False)


def test_an_answer_to_head_names_a_length_and_has_none():
    answer = StreamAnswer([(b":status", b"200"), (b"content-length", b"5")], ended=True, to_head_request=True)
    assert (answer.length, answer.expected) == (0, 0)
    assert b"content-length: 5" in answer.client_head(b"", b"")


@pytest.mark.parametrize(
    ("status", "to_head", "lines"),
    [
        (b"200", False, b"Content-Length: 0\r\n"),
        (b"404", False, b"Content-Length: 0\r\n"),
        (b"200", True, b""),  # of the answer to GET nothing is known
        (b"204", False, b""),
        (b"304", False, b""),
    ],
)
def test_http1_is_told_that_an_answer_that_ends_with_its_head_is_empty(status, to_head, lines):
    """Without a length its client would read the answer until the connection ends, and take the next one for it."""
    answer = StreamAnswer([(b":status", status), (b"date", b"x")], ended=True, to_head_request=to_head)
    assert answer.client_head(b"", b"").partition(b"\r\n")[2] == b"date: x\r\n" + lines + b"\r\n"
    assert decoded(answer.encoded(b"")) == [(b":status", status), (b"date", b"x")]


@pytest.mark.parametrize(("status", "ended", "is_kept"), [(b"204", True, 0), (b"103", False, 0), (b"304", True, 1)])
def test_an_answer_that_has_no_length_gets_none(status, ended, is_kept):
    """RFC 9110 section 8.6: 1xx and 204 have none, whatever the upstream says."""
    lines = [(b":status", status), (b"content-length", b"5"), (b"x-a", b"1")]
    answer = StreamAnswer(lines, ended=ended, to_head_request=False)
    assert answer.client_head(b"", b"").count(b"content-length") == is_kept
    assert [name for name, _ in decoded(answer.encoded(b""))].count(b"content-length") == is_kept


def test_what_only_http1_knows_is_left_out():
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nX-A:  b \r\n\r\n"
    assert decoded(encoded_answer(200, head)) == [(b":status", b"200"), (b"x-a", b"b")]
    request = Request(b"GET", b"/", "a", [], "", 0.0, index={b"host": b"A"})
    assert decoded(encoded_request(request, b"Host: A\r\nTE: trailers\r\nUpgrade: h2c\r\n")) == [
        *((b":path", b"/"), METHOD, SCHEME),
        *((b":authority", b"A"), (b"te", b"trailers")),
    ]


def test_trailers():
    lines = [(b"x-sum", b"1"), (b"content-length", b"5"), (b"x-secret", b"1")]
    assert trailers_of(lines, KINDS) == ((b"x-sum", b"1"),)
    for bad in ((b":path", b"/"), (b"x-bad", b"a\rb"), (b"X-Upper", b"a"), (b"connection", b"close")):
        with pytest.raises(HeadMalformed):
            trailers_of([*lines, bad], KINDS)


def test_a_bucket_empties_and_refills():
    guard = FloodGuard()
    assert all(guard.spend(RESET, 0.0) for _ in range(500))
    assert not guard.spend(RESET, 0.0)
    assert guard.spend(PING, 0.0)
    assert guard.spend(RESET, 1.0)
