"""HTTP/2 clients that keep to no rule: what one frame, one head or one flood of frames gets.

`STREAMS`: the stream is refused and the connection lives. `CONNECTIONS`: the connection ends with a GOAWAY. `FLOODS`:
so much of something cheap that the connection ends with ENHANCE_YOUR_CALM.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support import h2_raw as h2
from tests.support.h2_raw import GET, POST, Fields, data, frame, headers, reset, settings, window
from tests.support.hostile_rows import Seen
from tests.support.hostile_world import HOST

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: " + HOST + b"\r\n\r\n"


@dataclass(frozen=True)
class Gets:
    """What stream 1 gets: a status and reason of ours, or a reset (`code`), or the app's answer to what it saw."""

    sent: bytes
    status: int = 0
    reason: str = ""
    code: int | None = None
    seen: tuple[Seen, ...] = ()


def malformed(sent: bytes) -> Gets:
    """A head that is not HTTP/2: the stream is reset, nothing is seen upstream."""
    return Gets(sent, code=h2.PROTOCOL_ERROR)


def refused(sent: bytes, status: int = 400, reason: str = "bad_request") -> Gets:
    return Gets(sent, status, reason)


def passed(sent: bytes, seen: Seen) -> Gets:
    return Gets(sent, 200, seen=(seen,))


def get(*fields: tuple[bytes, bytes], **pseudo: bytes) -> bytes:
    """A GET on stream 1 with these headers; `method="x"` replaces a pseudo header."""
    return headers(1, _with(GET, pseudo) + list(fields))


def post(*fields: tuple[bytes, bytes], body: bytes = b"ab") -> bytes:
    """A POST on stream 1, its body in one frame."""
    return headers(1, POST + list(fields), end=False) + data(1, body)


def _with(fields: Fields, pseudo: dict[str, bytes]) -> Fields:
    return [(name, pseudo.get(name[1:].decode(), value)) for name, value in fields]


AB = Seen(b"POST", b"/", b"ab")

HEADS: dict[str, Gets] = {
    "a GET": passed(get(), Seen()),
    "a POST": passed(post(), AB),
    "a POST with its length": passed(post((b"content-length", b"2")), AB),
    "padding": passed(
        frame(h2.HEADERS, 0x4 | h2.PADDED, 1, b"\x05" + h2.block(POST) + b"\0" * 5)
        + frame(h2.DATA, h2.PADDED | h2.END_STREAM, 1, b"\x03ab\0\0\0"),
        AB,
    ),
    "no :method": malformed(headers(1, GET[1:])),
    "no :path": malformed(headers(1, GET[:-1])),
    "no :scheme": malformed(headers(1, [GET[0], *GET[2:]])),
    "an empty :path": malformed(get(path=b"")),
    "an empty :method": malformed(get(method=b"")),
    "two :method": malformed(headers(1, [GET[0], *GET])),
    "two :path": malformed(headers(1, [*GET, (b":path", b"/other")])),
    "two :authority": malformed(headers(1, [*GET, (b":authority", b"internal")])),
    "a pseudo header behind a header": malformed(headers(1, [*GET[:3], (b"x", b"y"), GET[3]])),
    "an unknown pseudo header": malformed(get((b":x", b"y"))),
    "a pseudo header of answers": malformed(get((b":status", b"200"))),
    ":protocol": malformed(get((b":protocol", b"websocket"))),
    "upper case": malformed(get((b"X-Y", b"z"))),
    "an empty name": malformed(get((b"", b"z"))),
    "a colon in a name": malformed(get((b"x:y", b"z"))),
    "a space in a name": malformed(get((b"x y", b"z"))),
    "CR LF in a name": malformed(get((b"x: y\r\nz", b"a"))),
    "NUL in a name": malformed(get((b"x\0", b"z"))),
    "a name beyond ASCII": malformed(get((b"\xc3\xa4", b"z"))),
    "CR LF in a value": malformed(get((b"x", b"y\r\nhost: internal"))),
    "CR LF and a request in a value": malformed(get((b"x", b"y\r\n\r\n" + SMUGGLED))),
    "LF in a value": malformed(get((b"x", b"y\nz: a"))),
    "CR in a value": malformed(get((b"x", b"y\rz"))),
    "NUL in a value": malformed(get((b"x", b"y\0"))),
    "a space before a value": malformed(get((b"x", b" y"))),
    "a space behind a value": malformed(get((b"x", b"y "))),
    "connection": malformed(get((b"connection", b"close"))),
    "keep-alive": malformed(get((b"keep-alive", b"1"))),
    "proxy-connection": malformed(get((b"proxy-connection", b"close"))),
    "upgrade": malformed(get((b"upgrade", b"websocket"))),
    "h2.TE: transfer-encoding": malformed(post((b"transfer-encoding", b"chunked"), body=b"0\r\n\r\n" + SMUGGLED)),
    "h2.TE: identity": malformed(post((b"transfer-encoding", b"identity"))),
    "h2.TE: with a length": malformed(post((b"content-length", b"2"), (b"transfer-encoding", b"chunked"))),
    "h2.TE: in a value": malformed(get((b"x", b"y\r\ntransfer-encoding: chunked"))),
    "te: gzip": malformed(get((b"te", b"gzip"))),
    "te: trailers": passed(get((b"te", b"trailers")), Seen(has=((b"te", b"trailers"),))),
    "h2.CL: too short": malformed(post((b"content-length", b"1"))),
    "h2.CL: too long": malformed(post((b"content-length", b"3"))),
    "h2.CL: without a body": malformed(get((b"content-length", b"5"))),
    "h2.CL: twice": malformed(post((b"content-length", b"2"), (b"content-length", b"2"))),
    "h2.CL: twice, different": malformed(post((b"content-length", b"2"), (b"content-length", b"0"))),
    "h2.CL: a list": malformed(post((b"content-length", b"2, 2"))),
    "h2.CL: signed": malformed(post((b"content-length", b"+2"))),
    "h2.CL: hexadecimal": malformed(post((b"content-length", b"0x2"))),
    "h2.CL: empty": malformed(post((b"content-length", b""))),
    "h2.CL: thirty digits": malformed(post((b"content-length", b"0" * 29 + b"2"))),
    "h2.CL: not digits of ASCII": malformed(post((b"content-length", b"\xb2"))),
    "a space in :method": refused(get(method=b"GET /x HTTP/1.1")),
    "CR LF in :method": refused(get(method=b"GET / HTTP/1.1\r\nx: y\r\n\r\nGET")),
    "a space in :path": refused(get(path=b"/ HTTP/1.1")),
    "CR LF in :path": refused(get(path=b"/ HTTP/1.1\r\nhost: internal\r\n\r\n")),
    "NUL in :path": refused(get(path=b"/\0")),
    ":path without a slash": refused(get(path=b"x")),
    ":path in absolute form": refused(get(path=b"http://internal/")),
    ":path that is a star": refused(get(path=b"*")),
    ":path with a fragment": refused(get(path=b"/#x")),
    ":path that is long": refused(get(path=b"/" + b"x" * 17_000), 414, "uri_too_long"),
    ":path that is a star, of OPTIONS": passed(get(method=b"OPTIONS", path=b"*"), Seen(b"OPTIONS", b"*")),
    "CR LF in :authority": refused(get(authority=b"x\r\ny: z")),
    "a space in :authority": refused(get(authority=HOST + b" x")),
    ":authority with user": refused(get(authority=b"user@" + HOST)),
    ":authority with a path": refused(get(authority=HOST + b"/x")),
    ":authority and another host": refused(get((b"host", b"internal"))),
    ":authority and two hosts": refused(get((b"host", HOST), (b"host", b"internal"))),
    ":authority and the same host": passed(get((b"host", HOST)), Seen(has=((b"host", HOST),))),
    "host without :authority": passed(headers(1, [*GET[:2], GET[3], (b"host", HOST)]), Seen(has=((b"host", HOST),))),
    "neither": refused(headers(1, [*GET[:2], GET[3]])),
    "a strange :scheme": passed(get(scheme=b"https"), Seen()),
    "CR LF in :scheme": malformed(get(scheme=b"http\r\nx: y")),
    "CONNECT": refused(headers(1, [(b":method", b"CONNECT"), (b":authority", HOST + b":80")]), 501, "upgrade_refused"),
    "127 headers": passed(get(*[(b"x", b"y")] * 80), Seen()),
    "129 headers": refused(get(*[(b"x", b"y")] * 129), 431, "head_too_large"),
    "70 KiB of headers": refused(
        headers(1, GET, flags=0)
        + frame(h2.CONTINUATION, 0, 1, h2.block([(b"x", b"y" * 40_000)]))
        + frame(h2.CONTINUATION, 0x4, 1, h2.block([(b"z", b"y" * 40_000)])),
        431,
        "head_too_large",
    ),
    "trailers": passed(
        headers(1, POST, end=False) + data(1, b"ab", end=False) + headers(1, [(b"x-sum", b"1")]),
        Seen(b"POST", b"/", b"ab", trailers=((b"x-sum", b"1"),)),
    ),
    "trailers that frame": passed(
        headers(1, POST, end=False)
        + data(1, b"ab", end=False)
        + headers(1, [(b"content-length", b"9"), (b"host", b"x")]),
        AB,
    ),
    "trailers with a pseudo header": malformed(
        headers(1, POST, end=False) + data(1, b"ab", end=False) + headers(1, [(b":path", b"/x")])
    ),
    "trailers with CR LF": malformed(
        headers(1, POST, end=False) + data(1, b"ab", end=False) + headers(1, [(b"x", b"y\r\nz: a")])
    ),
    "trailers that end nothing": malformed(
        headers(1, POST, end=False) + data(1, b"ab", end=False) + headers(1, [(b"x", b"y")], end=False)
    ),
    "trailers before the length is reached": malformed(
        headers(1, [*POST, (b"content-length", b"5")], end=False)
        + data(1, b"ab", end=False)
        + headers(1, [(b"x", b"y")])
    ),
    "internal headers": passed(
        get((b"x-tidegate-anything", b"1"), (b"k-original-host", b"x")),
        Seen(lacks=(b"x-tidegate-anything", b"k-original-host")),
    ),
    "a window of a stream that grows by nothing": Gets(
        headers(1, POST, end=False) + window(1, 0), code=h2.PROTOCOL_ERROR
    ),
    "a window of a stream beyond 31 bits": Gets(
        headers(1, POST, end=False) + window(1, 0x7FFFFFFF), code=h2.FLOW_CONTROL_ERROR
    ),
    "a priority of the wrong length": Gets(
        headers(1, POST, end=False) + frame(h2.PRIORITY, 0, 1, b"\0" * 4), code=h2.FRAME_SIZE_ERROR
    ),
}

CONNECTIONS: dict[str, tuple[bytes, int]] = {
    "HTTP/1.1 behind the preface": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", h2.FRAME_SIZE_ERROR),
    "a frame that is too long": (frame(h2.DATA, 0, 1, length=1 << 20), h2.FRAME_SIZE_ERROR),
    "a frame of 16 MiB": (frame(99, 0, 0, length=(1 << 24) - 1), h2.FRAME_SIZE_ERROR),
    "DATA on stream 0": (data(0, b"x"), h2.PROTOCOL_ERROR),
    "DATA on a stream that was never opened": (data(1, b"x"), h2.PROTOCOL_ERROR),
    "HEADERS on stream 0": (headers(0, GET), h2.PROTOCOL_ERROR),
    "HEADERS on an even stream": (headers(2, GET), h2.PROTOCOL_ERROR),
    "HEADERS on a lower stream": (headers(5, GET) + headers(3, GET), h2.STREAM_CLOSED),
    "RST_STREAM on stream 0": (reset(0), h2.PROTOCOL_ERROR),
    "RST_STREAM on a stream that was never opened": (reset(7), h2.PROTOCOL_ERROR),
    "RST_STREAM of the wrong length": (headers(1, POST, end=False) + frame(3, 0, 1, b"\0" * 3), h2.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE on a stream that was never opened": (window(7, 1), h2.PROTOCOL_ERROR),
    "WINDOW_UPDATE of the wrong length": (frame(h2.WINDOW_UPDATE, 0, 0, b"\0" * 3), h2.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE by nothing": (window(0, 0), h2.PROTOCOL_ERROR),
    "WINDOW_UPDATE beyond 31 bits": (window(0, 0x7FFFFFFF), h2.FLOW_CONTROL_ERROR),
    "WINDOW_UPDATE beyond 31 bits by SETTINGS": (
        headers(1, POST, end=False) + window(1, 0x7FFF0000 - 65535) + settings((4, 0x7FFFFFFF)),
        h2.FLOW_CONTROL_ERROR,
    ),
    "SETTINGS on a stream": (frame(h2.SETTINGS, 0, 1), h2.PROTOCOL_ERROR),
    "SETTINGS of the wrong length": (frame(h2.SETTINGS, 0, 0, b"\0" * 5), h2.FRAME_SIZE_ERROR),
    "an acknowledgement with a payload": (frame(h2.SETTINGS, h2.ACK, 0, b"\0" * 6), h2.FRAME_SIZE_ERROR),
    "an initial window beyond 31 bits": (settings((4, 0x80000000)), h2.FLOW_CONTROL_ERROR),
    "a frame size that is too small": (settings((5, 100)), h2.PROTOCOL_ERROR),
    "a frame size that is too large": (settings((5, 1 << 24)), h2.PROTOCOL_ERROR),
    "ENABLE_PUSH of 2": (settings((2, 2)), h2.PROTOCOL_ERROR),
    "PING on a stream": (frame(h2.PING, 0, 1, b"12345678"), h2.PROTOCOL_ERROR),
    "PING of the wrong length": (frame(h2.PING, 0, 0, b"1234567"), h2.FRAME_SIZE_ERROR),
    "GOAWAY on a stream": (frame(h2.GOAWAY, 0, 1, b"\0" * 8), h2.PROTOCOL_ERROR),
    "GOAWAY of the wrong length": (frame(h2.GOAWAY, 0, 0, b"\0" * 7), h2.FRAME_SIZE_ERROR),
    "PUSH_PROMISE": (frame(h2.PUSH_PROMISE, 4, 1, b"\0\0\0\2"), h2.PROTOCOL_ERROR),
    "PRIORITY on stream 0": (frame(h2.PRIORITY, 0, 0, b"\0" * 5), h2.PROTOCOL_ERROR),
    "CONTINUATION without HEADERS": (frame(h2.CONTINUATION, 4, 1), h2.PROTOCOL_ERROR),
    "CONTINUATION of another stream": (headers(1, GET, flags=0) + frame(h2.CONTINUATION, 4, 3), h2.PROTOCOL_ERROR),
    "DATA within a header block": (headers(1, GET, flags=0) + data(1, b"x"), h2.PROTOCOL_ERROR),
    "PING within a header block": (headers(1, GET, flags=0) + frame(h2.PING, 0, 0, b"12345678"), h2.PROTOCOL_ERROR),
    "more padding than payload": (frame(h2.HEADERS, 0xC, 1, b"\xff" + h2.block(GET)), h2.PROTOCOL_ERROR),
    "padding without its length": (headers(1, POST, end=False) + frame(h2.DATA, h2.PADDED, 1), h2.FRAME_SIZE_ERROR),
    "a priority without room": (frame(h2.HEADERS, 0x24, 1, b"\0"), h2.FRAME_SIZE_ERROR),
    "HPACK: a bomb": (
        # One entry of the table, and thousands of references to it.
        frame(h2.HEADERS, 5, 1, h2.block(GET) + b"\x40" + h2.block([(b"x", b"y" * 3000)])[1:] + b"\xbe" * 10_000),
        h2.ENHANCE_YOUR_CALM,
    ),
    "HPACK: an index of nothing": (frame(h2.HEADERS, 5, 1, b"\xff\xff\x7f"), h2.COMPRESSION_ERROR),
    "HPACK: index zero": (frame(h2.HEADERS, 5, 1, b"\x80"), h2.COMPRESSION_ERROR),
    "HPACK: a number without end": (frame(h2.HEADERS, 5, 1, b"\xff" + b"\xff" * 100), h2.COMPRESSION_ERROR),
    "HPACK: a string that is not there": (frame(h2.HEADERS, 5, 1, b"\0\x05ab"), h2.COMPRESSION_ERROR),
    "HPACK: a string of 4 GiB": (frame(h2.HEADERS, 5, 1, b"\0\x7f\xff\xff\xff\xff\x0f"), h2.COMPRESSION_ERROR),
    "HPACK: Huffman of nothing": (frame(h2.HEADERS, 5, 1, b"\0\x84\xff\xff\xff\xff\0"), h2.COMPRESSION_ERROR),
    "HPACK: a table beyond what we allow": (frame(h2.HEADERS, 5, 1, b"\x3f\xff\xff\x7f"), h2.COMPRESSION_ERROR),
    "HPACK: a table that changes late": (frame(h2.HEADERS, 5, 1, h2.block(GET) + b"\x20"), h2.COMPRESSION_ERROR),
}

FIRST: dict[str, bytes] = {
    "no SETTINGS": h2.PREFACE + headers(1, GET),
    "an acknowledgement first": h2.PREFACE + frame(h2.SETTINGS, h2.ACK, 0),
    "PING first": h2.PREFACE + frame(h2.PING, 0, 0, b"12345678"),
    "a GET behind the preface": h2.PREFACE + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}


def many_streams(count: int, *frames: object) -> bytes:
    """Return `count` streams, each opened and followed by frames, functions of its number."""
    return b"".join(
        headers(number, POST, end=False) + b"".join(make(number) for make in frames)  # type: ignore[operator]
        for number in range(1, 2 * count, 2)
    )


FLOODS: dict[str, tuple[bytes, str]] = {
    "SETTINGS": (settings() * 200, "settings"),
    "SETTINGS with values": (settings((3, 100), (4, 65535)) * 200, "settings"),
    "SETTINGS that move all windows": (many_streams(90) + settings((4, 0), (4, 65535)) * 200, "settings"),
    "PING": (frame(h2.PING, 0, 0, b"12345678") * 12_000, "ping"),
    "rapid reset": (many_streams(2500, reset), "reset"),
    "empty DATA": (headers(1, POST, end=False) + data(1, b"", end=False) * 12_000, "empty"),
    "empty DATA with padding": (
        headers(1, POST, end=False) + frame(h2.DATA, h2.PADDED, 1, b"\x02\0\0") * 12_000,
        "empty",
    ),
    "PRIORITY": (frame(h2.PRIORITY, 0, 1, b"\0\0\0\0\x10") * 12_000, "empty"),
    "PRIORITY of many streams": (
        b"".join(frame(h2.PRIORITY, 0, number, b"\0\0\0\0\x10") for number in range(1, 24_000, 2)),
        "empty",
    ),
    "frames of an unknown type": (frame(200, 0, 0) * 12_000, "empty"),
    "CONTINUATION": (headers(1, GET, flags=0) + frame(h2.CONTINUATION, 0, 1) * 200, "headers"),
    "CONTINUATION with payload": (
        headers(1, GET, flags=0) + frame(h2.CONTINUATION, 0, 1, h2.block([(b"x", b"y" * 16_000)])) * 40,
        "headers",
    ),
    "malformed heads": (b"".join(headers(number, [*GET, (b"X", b"y")]) for number in range(1, 1500, 2)), "refused"),
    "streams beyond the limit": (many_streams(800), "refused"),
    "resets that we are made to send": (many_streams(1500, lambda number: window(number, 0)), "refused"),
    "resets by a length that is not kept": (
        many_streams(1500, lambda number: frame(h2.PRIORITY, 0, number, b"\0")),
        "refused",
    ),
    "DATA for streams that have ended": (
        headers(1, POST, end=False) + reset(1) + data(1, b"x", end=False) * 1000,
        "refused",
    ),
}
