"""Chunked request bodies: sizes, extensions, line ends, trailers. Nothing is read but what RFC 9112 section 7.1 allows.

A body that turns out malformed after the upstream was reached costs the upstream its connection: what it saw of the
request never becomes a whole one.
"""

from __future__ import annotations

from tests.support.hostile_rows import HOST_LINE, Row, Seen, chunked, passed, post, refused

HELLO = Seen(b"POST", b"/", b"hello")
END = b"0\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST_LINE + b"\r\n"


def size(line: bytes) -> Row:
    """A first chunk with this size line."""
    return refused(chunked(line + b"\r\nhello\r\n" + END))


SIZES: dict[str, Row] = {
    "plain": passed(chunked(b"5\r\nhello\r\n" + END), HELLO),
    "several": passed(chunked(b"1\r\nh\r\n1\r\ne\r\n3\r\nllo\r\n" + END), HELLO),
    "zeros before": passed(chunked(b"005\r\nhello\r\n" + END), HELLO),
    "many zeros at the end": passed(chunked(b"5\r\nhello\r\n000\r\n\r\n"), HELLO),
    "upper and lower case": passed(
        chunked(b"a\r\nhellohello\r\nA\r\nhellohello\r\n" + END), Seen(b"POST", b"/", b"hello" * 4)
    ),
    "a chunk that holds a request": passed(
        chunked(b"%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED) + END),
        Seen(b"POST", b"/", SMUGGLED),
    ),
    "a chunk that holds an end": passed(chunked(b"5\r\n0\r\n\r\n\r\n" + END), Seen(b"POST", b"/", END)),
    "empty": size(b""),
    "not hexadecimal": size(b"g"),
    "prefixed": size(b"0x5"),
    "plus": size(b"+5"),
    "minus": size(b"-5"),
    "minus zero": size(b"-0"),
    "an underscore": size(b"0_5"),
    "a point": size(b"5.0"),
    "a comma": size(b"5,"),
    "a space before": size(b" 5"),
    "a space behind": size(b"5 "),
    "a tab behind": size(b"5\t"),
    "a vertical tab behind": size(b"5\x0b"),
    "a NUL behind": size(b"5\0"),
    "a NUL before": size(b"\x005"),
    "DEL behind": size(b"5\x7f"),
    "beyond 64 bits": size(b"10000000000000005"),
    "63 bits": size(b"7fffffffffffffff"),
    "negative as 64 bits": size(b"ffffffffffffffff"),
    "beyond 60 bits": size(b"1000000000000000"),
    "thousand zeros before": size(b"0" * 1000 + b"5"),
    "quotes": size(b'"5"'),
    "superscript": size(b"\xb2"),
    "fullwidth digits": size("５".encode()),
}

ENDS: dict[str, Row] = {
    "LF behind the size": refused(chunked(b"5\nhello\r\n" + END)),
    "CR behind the size": refused(chunked(b"5\rhello\r\n" + END)),
    "LF LF behind the size": refused(chunked(b"5\n\nhello\r\n" + END)),
    "CR CR LF behind the size": refused(chunked(b"5\r\r\nhello\r\n" + END)),
    "LF behind the data": refused(chunked(b"5\r\nhello\n" + END)),
    "CR behind the data": refused(chunked(b"5\r\nhello\r" + END)),
    "nothing behind the data": refused(chunked(b"5\r\nhello" + END)),
    "two bytes that are not CR LF": refused(chunked(b"5\r\nhelloxx" + END)),
    "too long": refused(chunked(b"5\r\nhello world\r\n" + END)),
    "too long by a line": refused(chunked(b"5\r\nhello\r\n\r\n" + END)),
    "too short": refused(chunked(b"6\r\nhello\r\n" + END)),
    "LF behind the last size": refused(chunked(b"5\r\nhello\r\n0\n\r\n")),
    "LF as the last line": refused(chunked(b"5\r\nhello\r\n0\r\n\n")),
    "CR as the last line": refused(chunked(b"5\r\nhello\r\n0\r\n\rX")),
    "a byte in the last line": refused(chunked(b"5\r\nhello\r\n0\r\nX\r\n")),
    "a space line at the end": refused(chunked(b"5\r\nhello\r\n0\r\n \r\n\r\n")),
    "a blank line before": refused(chunked(b"\r\n5\r\nhello\r\n" + END)),
    "a request in place of chunks": refused(chunked(b"GET /smuggled HTTP/1.1\r\n" + HOST_LINE + b"\r\n")),
}

EXTENSIONS: dict[str, Row] = {
    "dropped": passed(chunked(b"5;a=b;c\r\nhello\r\n0;d\r\n\r\n"), HELLO),
    "in quotes": passed(chunked(b'5;a="b;c"\r\nhello\r\n' + END), HELLO),
    "an empty one": passed(chunked(b"5;\r\nhello\r\n" + END), HELLO),
    "2,000 bytes": passed(chunked(b"5;" + b"x" * 2000 + b"\r\nhello\r\n" + END), HELLO),
    "5,000 bytes": refused(chunked(b"5;" + b"x" * 5000 + b"\r\nhello\r\n" + END)),
    "an endless one": refused(chunked(b"5;" + b"x" * 70_000)),
    "a bare LF within": refused(chunked(b"5;a\nhello\r\n" + END)),
    "a bare LF and a size": refused(chunked(b"2;\nxx\r\n53\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")),
    "a bare CR within": refused(chunked(b"5;a\rb\r\nhello\r\n" + END)),
    "a bare CR before the end": refused(chunked(b"5;a\r\r\nhello\r\n" + END)),
    "NUL": refused(chunked(b"5;a\0b\r\nhello\r\n" + END)),
    "DEL": refused(chunked(b"5;a\x7fb\r\nhello\r\n" + END)),
    "LF in quotes": refused(chunked(b'5;a="\n"\r\nhello\r\n' + END)),
    "CR LF in quotes ends it": refused(chunked(b'5;a="\r\n"hello\r\n' + END)),
    "a space before": refused(chunked(b"5 ;a\r\nhello\r\n" + END)),
    "a comma in place of a semicolon": refused(chunked(b"5,a\r\nhello\r\n" + END)),
}


def trailed(*trailers: tuple[bytes, bytes]) -> Seen:
    return Seen(b"POST", b"/", b"hello", trailers=trailers)


def with_trailers(lines: bytes) -> bytes:
    return chunked(b"5\r\nhello\r\n0\r\n" + lines + b"\r\n")


TRAILERS: dict[str, Row] = {
    "one": passed(with_trailers(b"X-Sum: 1\r\n"), trailed((b"x-sum", b"1"))),
    "framing": passed(with_trailers(b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n"), trailed()),
    "routing": passed(with_trailers(b"Host: internal\r\n"), trailed()),
    "authority": passed(with_trailers(b"Authorization: x\r\nCookie: a=b\r\nSet-Cookie: c=d\r\n"), trailed()),
    "proxy authority": passed(with_trailers(b"Proxy-Authorization: x\r\nProxy-Connection: close\r\n"), trailed()),
    "connection": passed(with_trailers(b"Connection: close\r\nUpgrade: x\r\nKeep-Alive: 1\r\nTE: x\r\n"), trailed()),
    "modifiers": passed(
        with_trailers(
            b"Expect: 100-continue\r\nRange: bytes=0-\r\nIf-Match: x\r\nIf-None-Match: x\r\nMax-Forwards: 1\r\n"
        ),
        trailed(),
    ),
    "content": passed(
        with_trailers(b"Content-Type: x\r\nContent-Encoding: gzip\r\nContent-Range: x\r\nTrailer: x\r\n"), trailed()
    ),
    "internal": passed(with_trailers(b"X-Tidegate-Uncounted: 1\r\nK-Original-Host: x\r\n"), trailed()),
    "folded": refused(with_trailers(b"X: a\r\n b\r\n")),
    "no colon": refused(with_trailers(b"nonsense\r\n")),
    "a space before the colon": refused(with_trailers(b"X : y\r\n")),
    "no name": refused(with_trailers(b": y\r\n")),
    "NUL": refused(with_trailers(b"X: a\0\r\n")),
    "bare CR": refused(with_trailers(b"X: a\rb\r\n")),
    "bare LF": refused(with_trailers(b"X: a\nY: b\r\n")),
    "a request": refused(with_trailers(b"GET /smuggled HTTP/1.1\r\n")),
    "20 KiB": refused(with_trailers(b"X: %b\r\n" % (b"y" * 1000) * 20)),
    "5 KiB in a line": refused(with_trailers(b"X: %b\r\n" % (b"y" * 5000))),
    "10,000": refused(with_trailers(b"X:\r\n" * 10_000)),
    "an endless one": refused(chunked(b"5\r\nhello\r\n0\r\nX: " + b"y" * 70_000)),
    "behind a length there are none": passed(
        post(b"Trailer: X\r\nContent-Length: 5\r\n", b"hello"), Seen(b"POST", b"/", b"hello")
    ),
}

TABLES = {"chunk size": SIZES, "chunk end": ENDS, "chunk extension": EXTENSIONS, "trailers": TRAILERS}
