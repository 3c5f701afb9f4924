"""Answers of hostile and broken upstreams: what the client gets for each.

`REFUSED`: nothing of it reaches the client (502). `CUT`: the client sees that the body is incomplete. `BEHIND`: what
stands behind an answer reaches nobody. `PASSED`: odd, but plain enough.
"""

from __future__ import annotations

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FORGED = OK + b"Content-Length: 6\r\n\r\nforged"
HELLO = b"5\r\nhello\r\n"


def with_lines(lines: bytes, body: bytes = b"") -> bytes:
    return OK + lines + b"\r\n" + body


def coded(line: bytes) -> bytes:
    return with_lines(line, HELLO + b"0\r\n\r\n")


def status(line: bytes) -> bytes:
    return line + b"\r\nContent-Length: 0\r\n\r\n"


REFUSED: dict[str, bytes] = {
    "garbage": b"\x16\x03\x01\x02\x00garbage\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 frames": b"\0\0\0\4\0\0\0\0\0",
    "a body without a head": b"hello world\r\n\r\n",
    "half a status line": b"HTTP/1.1 20",
    "half a head": OK + b"Content-Len",
    "all of a head but its end": OK + b"Content-Length: 0\r\n",
    "only 100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "no status": status(b"HTTP/1.1 OK"),
    "a status of two digits": status(b"HTTP/1.1 99 x"),
    "a status of four digits": status(b"HTTP/1.1 2000 x"),
    "status zero": status(b"HTTP/1.1 000 x"),
    "status 099": status(b"HTTP/1.1 099 x"),
    "a negative status": status(b"HTTP/1.1 -200 x"),
    "a status with letters": status(b"HTTP/1.1 20x OK"),
    "two spaces before the status": status(b"HTTP/1.1  200 OK"),
    "a tab before the status": status(b"HTTP/1.1\t200 OK"),
    "HTTP/0.9": status(b"HTTP/0.9 200 OK"),
    "HTTP/1.2": status(b"HTTP/1.2 200 OK"),
    "HTTP/2.0": status(b"HTTP/2.0 200 OK"),
    "HTTP/2": status(b"HTTP/2 200 OK"),
    "HTTP/3.0": status(b"HTTP/3.0 200 OK"),
    "lower case": status(b"http/1.1 200 OK"),
    "RTSP": status(b"RTSP/1.0 200 OK"),
    "ICE": status(b"ICE/1.0 200 OK"),
    "ICY": status(b"ICY 200 OK"),
    "a blank line before": b"\r\n" + FORGED,
    "a bare LF before": b"\n" + FORGED,
    "NUL in the phrase": status(b"HTTP/1.1 200 O\0K"),
    "a bare CR in the phrase": status(b"HTTP/1.1 200 O\rK"),
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a bare LF behind the status": b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "a bare LF behind a header": with_lines(b"X: y\nContent-Length: 0\r\n"),
    "a bare CR behind a header": with_lines(b"X: y\rContent-Length: 0\r\n"),
    "a bare CR and a cookie": with_lines(b"X: a\rSet-Cookie: b\r\nContent-Length: 0\r\n"),
    "a bare LF and a cookie": with_lines(b"X: a\nSet-Cookie: b\r\nContent-Length: 0\r\n"),
    "CR CR LF": with_lines(b"X: a\r\r\nContent-Length: 0\r\n"),
    "a fold": with_lines(b"X: a\r\n b\r\nContent-Length: 0\r\n"),
    "a fold before all": OK + b" X: a\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": with_lines(b"X: a\0b\r\nContent-Length: 0\r\n"),
    "NUL in a name": with_lines(b"X\0Y: b\r\nContent-Length: 0\r\n"),
    "a space before the colon": with_lines(b"Content-Length : 0\r\n"),
    "a space in a name": with_lines(b"X Y: z\r\nContent-Length: 0\r\n"),
    "no colon": with_lines(b"nonsense\r\nContent-Length: 0\r\n"),
    "no name": with_lines(b": x\r\nContent-Length: 0\r\n"),
    "two lengths": with_lines(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"abc"),
    "two equal lengths": with_lines(b"Content-Length: 2\r\nContent-Length: 2\r\n", b"ab"),
    "a list of lengths": with_lines(b"Content-Length: 2, 2\r\n", b"ab"),
    "an empty length": with_lines(b"Content-Length:\r\n", b"ab"),
    "a negative length": with_lines(b"Content-Length: -2\r\n", b"ab"),
    "a signed length": with_lines(b"Content-Length: +2\r\n", b"ab"),
    "a hexadecimal length": with_lines(b"Content-Length: 0x2\r\n", b"ab"),
    "a length with an underscore": with_lines(b"Content-Length: 0_2\r\n", b"ab"),
    "a length with a point": with_lines(b"Content-Length: 2.0\r\n", b"ab"),
    "a length with a space": with_lines(b"Content-Length: 0 2\r\n", b"ab"),
    "a length behind a vertical tab": with_lines(b"Content-Length:\x0b2\r\n", b"ab"),
    "a length beyond 64 bits": with_lines(b"Content-Length: 18446744073709551618\r\n", b"ab"),
    "a length beyond 63 bits": with_lines(b"Content-Length: 9223372036854775808\r\n", b"ab"),
    "a length of thirty digits": with_lines(b"Content-Length: 000000000000000000000000000002\r\n", b"ab"),
    "length and chunked": with_lines(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "chunked and length": with_lines(b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"0\r\n\r\n"),
    "length and a coding that is none": with_lines(b"Content-Length: 3\r\nTransfer-Encoding: identity\r\n", b"abc"),
    "gzip, chunked": coded(b"Transfer-Encoding: gzip, chunked\r\n"),
    "gzip": coded(b"Transfer-Encoding: gzip\r\n"),
    "identity": coded(b"Transfer-Encoding: identity\r\n"),
    "xchunked": coded(b"Transfer-Encoding: xchunked\r\n"),
    "an empty coding": coded(b"Transfer-Encoding:\r\n"),
    "chunked, chunked": coded(b"Transfer-Encoding: chunked, chunked\r\n"),
    "chunked twice": coded(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    "chunked, then identity": coded(b"Transfer-Encoding: chunked, identity\r\n"),
    "chunked behind a vertical tab": coded(b"Transfer-Encoding: \x0bchunked\r\n"),
    "chunked in quotes": coded(b'Transfer-Encoding: "chunked"\r\n'),
    "chunked with a parameter": coded(b"Transfer-Encoding: chunked;x\r\n"),
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO + b"0\r\n\r\n",
    "a head without end": OK + b"X: " + b"y" * 70_000,
    "a name without end": OK + b"y" * 70_000,
    "a status line without end": b"HTTP/1.1 200 " + b"y" * 70_000,
    "headers without end": OK + b"X: y\r\n" * 12_000,
    "101 that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nforged",
    "101 without Upgrade": b"HTTP/1.1 101 Switching Protocols\r\n\r\nforged",
    "a body behind 103": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 6\r\n\r\nforged" + FORGED,
    "a flood of 103": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 10_000 + FORGED,
    "a flood of 100": b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000 + FORGED,
}

CUT: dict[str, bytes] = {
    "a short body": OK + b"Content-Length: 10\r\n\r\nhalf",
    "no body": OK + b"Content-Length: 10\r\n\r\n",
    "no chunk": CHUNKED,
    "no last chunk": CHUNKED + HELLO,
    "half a chunk": CHUNKED + b"5\r\nhel",
    "half a size": CHUNKED + HELLO + b"5",
    "no CR LF behind a chunk": CHUNKED + b"5\r\nhello",
    "no end of the trailers": CHUNKED + HELLO + b"0\r\nX: y\r\n",
    "a size that is none": CHUNKED + HELLO + b"xyz\r\n",
    "a negative size": CHUNKED + HELLO + b"-1\r\n",
    "a prefixed size": CHUNKED + HELLO + b"0x5\r\n",
    "a size with an underscore": CHUNKED + HELLO + b"0_5\r\nhello\r\n0\r\n\r\n",
    "a space behind a size": CHUNKED + HELLO + b"5 \r\nhello\r\n0\r\n\r\n",
    "a size beyond 64 bits": CHUNKED + HELLO + b"fffffffffffffffff\r\n",
    "a chunk longer than its size": CHUNKED + b"5\r\nhello world\r\n0\r\n\r\n",
    "a size ended by LF": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "a chunk ended by LF": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "the last chunk ended by LF": CHUNKED + HELLO + b"0\n\r\n",
    "an endless extension": CHUNKED + b"5;" + b"x" * 70_000,
    "NUL in an extension": CHUNKED + HELLO + b"5;\0\r\nhello\r\n0\r\n\r\n",
    "NUL in a size": CHUNKED + HELLO + b"0\0\r\n\r\n",
    "a folded trailer": CHUNKED + HELLO + b"0\r\nX: y\r\n z\r\n\r\n",
    "an endless trailer": CHUNKED + HELLO + b"0\r\nX: " + b"y" * 70_000,
    "trailers without end": CHUNKED + HELLO + b"0\r\n" + b"X: y\r\n" * 10_000,
    "an answer in place of a chunk": CHUNKED + HELLO + FORGED,
}

BEHIND: dict[str, tuple[bytes, int, bytes]] = {
    "a second answer": (OK + b"Content-Length: 5\r\n\r\nhello" + FORGED, 200, b"hello"),
    "a byte": (OK + b"Content-Length: 5\r\n\r\nhello!", 200, b"hello"),
    "a blank line": (OK + b"Content-Length: 5\r\n\r\nhello\r\n", 200, b"hello"),
    "a second answer behind no body": (OK + b"Content-Length: 0\r\n\r\n" + FORGED, 200, b""),
    "a second answer behind the last chunk": (CHUNKED + HELLO + b"0\r\n\r\n" + FORGED, 200, b"hello"),
    "a chunk behind the last": (CHUNKED + HELLO + b"0\r\n\r\n" + HELLO + b"0\r\n\r\n", 200, b"hello"),
    "a body under 204": (b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nforged", 204, b""),
    "chunks under 204": (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nforged\r\n", 204, b""),
    "a body under 304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\nforged", 304, b""),
    "a second answer behind 304": (b"HTTP/1.1 304 Not Modified\r\n\r\n" + FORGED, 304, b""),
    "102 behind the answer": (OK + b"Content-Length: 5\r\n\r\nhelloHTTP/1.1 102 Processing\r\n\r\n", 200, b"hello"),
}

PASSED: dict[str, tuple[bytes, int, bytes]] = {
    "a length": (OK + b"Content-Length: 5\r\n\r\nhello", 200, b"hello"),
    "chunks": (CHUNKED + HELLO + b"0\r\n\r\n", 200, b"hello"),
    "chunk extensions and trailers": (
        CHUNKED + b"5;a=b\r\nhello\r\n0\r\nX: y\r\nSet-Cookie: a=b\r\n\r\n",
        200,
        b"hello",
    ),
    "no phrase and no space before it": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "no phrase": (b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "a phrase beyond ASCII": ("HTTP/1.1 200 Schön\r\nContent-Length: 5\r\n\r\nhello".encode(), 200, b"hello"),
    "a status that is not registered": (b"HTTP/1.1 599 x\r\nContent-Length: 5\r\n\r\nhello", 599, b"hello"),
    "encoded CR LF in a value": (OK + b"X: a%0d%0aSet-Cookie: b\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "102 and 103 before": (
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + OK
        + b"Content-Length: 5\r\n\r\nhello",
        200,
        b"hello",
    ),
    "100 that nobody waited for": (
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
        200,
        b"hello",
    ),
    "205 with a body": (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello", 205, b"hello"),
    "HTTP/1.0 with a length": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "Connection: close": (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "Connection that names the length": (
        OK + b"Connection: content-length\r\nContent-Length: 5\r\n\r\nhello",
        200,
        b"hello",
    ),
    "Connection that names the coding": (
        OK + b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO + b"0\r\n\r\n",
        200,
        b"hello",
    ),
}

UNTIL_CLOSE: dict[str, bytes] = {
    "HTTP/1.1": OK + b"\r\nhello",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "HTTP/1.0 that wants to stay": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello",
}
