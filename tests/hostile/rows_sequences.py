"""More than one message on a connection: pipelines, expectations, upgrades, and HTTP/2's beginning among HTTP/1.1.

Each request is answered in order or not at all, and what stands behind a refusal is never read.
"""

from __future__ import annotations

from tests.support.hostile_rows import CANARY, CHUNKED, HOST_LINE, Row, Seen, get, passed, post, refused

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
ROOT = Seen()
BAD = ((200, ""), (400, "bad_request"))
EXPECT = b"Expect: 100-continue\r\n"
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
NO_UPGRADE = (b"upgrade", b"http2-settings", b"connection")


def behind(poison: bytes, status: int = 400, reason: str = "bad_request") -> Row:
    """A good request, and behind it one that is refused."""
    return Row(get() + poison, ((200, ""), (status, reason)), "closed", (ROOT,))


def switched(lines: bytes, pushed: bytes = b"") -> Row:
    """An upgrade that the app takes; `pushed` stands behind the request and belongs to the tunnel."""
    seen = Seen(target=b"/switch", has=((b"connection", b"Upgrade"), (b"upgrade", b"websocket")))
    return Row(get(lines, b"/switch") + pushed, ((101, ""),), "tunnel", (seen,), tunnel=pushed)


PIPELINES: dict[str, Row] = {
    "three": passed(get() * 3, ROOT, ROOT, ROOT),
    "three that differ": passed(
        get(target=b"/a") + post(b"Content-Length: 2\r\n", b"ab", b"/b") + get(target=b"/c", method=b"HEAD"),
        Seen(target=b"/a"),
        Seen(b"POST", b"/b", b"ab"),
        Seen(b"HEAD", b"/c"),
    ),
    "a blank line between": passed(get() + b"\r\n" + get(), ROOT, ROOT),
    "a chunked body between": passed(post(CHUNKED, b"2\r\nab\r\n0\r\n\r\n") + get(), Seen(b"POST", b"/", b"ab"), ROOT),
    "behind Connection: close": Row(get(b"Connection: close\r\n") + get(), ((200, ""),), "closed", (ROOT,)),
    "behind HTTP/1.0": Row(get(version=b"HTTP/1.0") + get(), ((200, ""),), "closed", (ROOT,)),
    "garbage behind": behind(b"x" * 20 + b"\r\n\r\n"),
    "a byte behind a body": Row(post(b"Content-Length: 2\r\n", b"abX"), BAD, "closed", (Seen(b"POST", b"/", b"ab"),)),
    "a chunk behind the last": Row(post(CHUNKED, b"0\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), BAD, "closed", (Seen(b"POST"),)),
    "CL.TE behind": behind(post(b"Content-Length: 4\r\n" + CHUNKED, b"0\r\n\r\n")),
    "two Hosts behind": behind(get(HOST_LINE)),
    "no Host behind": behind(b"GET / HTTP/1.1\r\n\r\n"),
    "bare LF behind": behind(b"GET / HTTP/1.1\n" + HOST_LINE + b"\n"),
    "a fold behind": behind(get(b"X: a\r\n b\r\n")),
    "HTTP/2.0 behind": behind(get(version=b"HTTP/2.0")),
    "HTTP/0.9 behind": behind(b"GET /\r\n\r\n"),
    "the same but for a space": behind(get().replace(b"GET / ", b"GET /  ")),
    "the same but for a space in the target": behind(get(target=b"/a b")),
    "the same but for a NUL in the target": behind(get(target=b"/\0")),
    "the same but for a fragment": behind(get(target=b"/#x")),
    "the same but for a bare LF": behind(get()[:-2] + b"\n"),
    "the same but for its target": passed(get() + get(target=b"/other?x"), ROOT, Seen(target=b"/other?x")),
    "the same in absolute form of another scheme": behind(get(target=b"ftp://x/")),
    "the same but for a method in lower case": behind(get(method=b"get")),
    "a long target behind": behind(get(target=b"/" + b"x" * 17_000), 414, "uri_too_long"),
    "a large head behind": behind(get(b"X: " + b"y" * 70_000 + b"\r\n"), 431, "head_too_large"),
    "an unknown expectation behind": behind(get(b"Expect: x\r\n"), 417, "expectation_failed"),
    "a coding behind": behind(post(b"Transfer-Encoding: gzip, chunked\r\n"), 501, "upgrade_refused"),
}

EXPECTATIONS: dict[str, Row] = {
    "met": passed(
        post(EXPECT + b"Content-Length: 2\r\n", b"ab"),
        Seen(b"POST", b"/", b"ab", has=((b"expect", b"100-continue"),)),
        interim=(100,),
    ),
    "any case": passed(
        post(b"eXPECT: 100-cONTINUE\r\nContent-Length: 2\r\n", b"ab"), Seen(b"POST", b"/", b"ab"), interim=(100,)
    ),
    "without a body": passed(get(EXPECT), Seen(lacks=(b"expect",))),
    "of length zero": passed(post(EXPECT + b"Content-Length: 0\r\n"), Seen(b"POST", lacks=(b"expect",))),
    "of HTTP/1.0": Row(
        b"POST / HTTP/1.0\r\n" + HOST_LINE + EXPECT + b"Content-Length: 2\r\n\r\nab",
        ((200, ""),),
        "closed",
        (Seen(b"POST", b"/", b"ab", lacks=(b"expect",)),),
    ),
    "named by Connection": passed(
        post(b"Connection: expect\r\n" + EXPECT + b"Content-Length: 2\r\n", b"ab"),
        Seen(b"POST", b"/", b"ab", lacks=(b"expect",)),
    ),
    "twice": refused(post(EXPECT + EXPECT + b"Content-Length: 2\r\n", b"ab"), 417, "expectation_failed"),
    "unknown": refused(post(b"Expect: 200-ok\r\nContent-Length: 2\r\n", b"ab"), 417, "expectation_failed"),
    "empty": refused(post(b"Expect:\r\nContent-Length: 2\r\n", b"ab"), 417, "expectation_failed"),
    "y 100-continue": refused(
        post(b"Expect: y 100-continue\r\nContent-Length: 2\r\n", b"ab"), 417, "expectation_failed"
    ),
    "a list": refused(post(b"Expect: 100-continue, x\r\nContent-Length: 2\r\n", b"ab"), 417, "expectation_failed"),
    "and a smuggled body": refused(post(EXPECT + b"Content-Length: 4\r\n" + CHUNKED, b"0\r\n\r\n" + CANARY)),
}

UPGRADES: dict[str, Row] = {
    "taken": switched(WEBSOCKET),
    "taken, bytes pushed": switched(WEBSOCKET, b"pushed"),
    "taken, a request pushed": switched(WEBSOCKET, CANARY),
    "refused, a request pushed": passed(get(WEBSOCKET) + get(target=b"/next"), ROOT, Seen(target=b"/next")),
    "refused, a bad request pushed": Row(get(WEBSOCKET) + b"GET / HTTP/9.9\r\n\r\n", BAD, "closed", (ROOT,)),
    "a wrong version is the app's matter": passed(
        get(WEBSOCKET.replace(b"13", b"1337")) + get(target=b"/next"), ROOT, Seen(target=b"/next")
    ),
    "with a body": passed(
        post(WEBSOCKET + b"Content-Length: 2\r\n", b"ab", b"/switch"),
        Seen(b"POST", b"/switch", b"ab", lacks=(b"upgrade", b"connection")),
    ),
    "with a chunked body": passed(
        post(WEBSOCKET + CHUNKED, b"2\r\nab\r\n0\r\n\r\n", b"/switch"),
        Seen(b"POST", b"/switch", b"ab", lacks=(b"upgrade", b"connection")),
    ),
    "not named by Connection": passed(
        get(b"Upgrade: websocket\r\n", b"/switch"), Seen(target=b"/switch", lacks=NO_UPGRADE)
    ),
    "named and not there": passed(
        get(b"Connection: upgrade\r\n", b"/switch"), Seen(target=b"/switch", lacks=NO_UPGRADE)
    ),
    "of HTTP/1.0": Row(
        get(WEBSOCKET, b"/switch", version=b"HTTP/1.0"),
        ((200, ""),),
        "closed",
        (Seen(target=b"/switch", lacks=NO_UPGRADE),),
    ),
    "h2c": passed(get(H2C, b"/switch"), Seen(target=b"/switch", lacks=NO_UPGRADE)),
    "h2c, frames pushed": Row(
        get(H2C, b"/switch") + PREFACE + SETTINGS, BAD, "closed", (Seen(target=b"/switch", lacks=NO_UPGRADE),)
    ),
    "h2c without its settings": passed(
        get(b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"/switch"), Seen(target=b"/switch", lacks=NO_UPGRADE)
    ),
    "h2c, its settings not named by Connection": passed(
        get(b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", b"/switch"),
        Seen(target=b"/switch", lacks=NO_UPGRADE),
    ),
    "h2c in upper case": passed(
        get(b"Connection: Upgrade\r\nUpgrade: H2C\r\n", b"/switch"), Seen(target=b"/switch", lacks=NO_UPGRADE)
    ),
    "h2": passed(get(b"Connection: Upgrade\r\nUpgrade: h2\r\n", b"/switch"), Seen(target=b"/switch", lacks=NO_UPGRADE)),
    "HTTP/2.0": passed(
        get(b"Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n", b"/switch"), Seen(target=b"/switch", lacks=NO_UPGRADE)
    ),
    "h2c beside websocket": switched(WEBSOCKET.replace(b"websocket", b"websocket, h2c")),
    "h2c before websocket": switched(WEBSOCKET.replace(b"websocket", b"h2c,websocket")),
    "h2c in a second line": switched(WEBSOCKET + b"Upgrade: h2c\r\n"),
    "h2c with a body": passed(
        post(H2C + b"Content-Length: 2\r\n", b"ab", b"/switch"), Seen(b"POST", b"/switch", b"ab", lacks=NO_UPGRADE)
    ),
    "nothing": passed(
        get(b"Connection: Upgrade\r\nUpgrade:\r\n", b"/switch"), Seen(target=b"/switch", lacks=NO_UPGRADE)
    ),
    "not a token": passed(
        get(b"Connection: Upgrade\r\nUpgrade: a b\r\n", b"/switch"), Seen(target=b"/switch", lacks=NO_UPGRADE)
    ),
}

PREFACES: dict[str, Row] = {
    "behind a request": behind(PREFACE + SETTINGS),
    "behind a blank line": refused(b"\r\n" + PREFACE + SETTINGS),
    "half, then HTTP/1.1": refused(b"PRI * HTTP/2.0\r\n\r\n" + get()),
    "a letter, then HTTP/1.1": refused(b"P" + get()),
    "its method in HTTP/1.1": refused(b"PRI * HTTP/1.1\r\n" + HOST_LINE + b"\r\n"),
    "its method and a path": refused(b"PRI / HTTP/1.1\r\n" + HOST_LINE + b"\r\n"),
    "with headers": refused(b"PRI * HTTP/2.0\r\n" + HOST_LINE + b"\r\nSM\r\n\r\n"),
    "a POST is not one": passed(post(b"Content-Length: 2\r\n", b"ab"), Seen(b"POST", b"/", b"ab")),
    "a PUT is not one": passed(get(method=b"PUT"), Seen(b"PUT")),
    "bare LFs": refused(b"PRI * HTTP/2.0\n\nSM\n\n"),
}

TABLES = {"pipeline": PIPELINES, "expect": EXPECTATIONS, "upgrade": UPGRADES, "preface": PREFACES}
