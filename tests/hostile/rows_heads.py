"""Request heads: lines and what ends them, methods, targets, versions, Host, sizes.

What the grammar of RFC 9112 does not allow is refused, also where it says that a recipient may be lenient.
"""

from __future__ import annotations

from tests.support.hostile_rows import HOST_LINE, Row, Seen, get, nowhere, passed, post, refused
from tests.support.hostile_world import HOST

ROOT = Seen()
TOO_LONG = (414, "uri_too_long")
TOO_LARGE = (431, "head_too_large")


def line(first: bytes, lines: bytes = HOST_LINE) -> bytes:
    """Return a head with this first line."""
    return first + b"\r\n" + lines + b"\r\n"


def hosts(lines: bytes) -> bytes:
    """Return a GET with these lines only."""
    return line(b"GET / HTTP/1.1", lines)


LINES: dict[str, Row] = {
    "bare LF everywhere": refused(b"GET / HTTP/1.1\n" + HOST_LINE[:-2] + b"\n\n"),
    "bare LF behind the first line": refused(b"GET / HTTP/1.1\n" + HOST_LINE + b"\r\n"),
    "bare LF behind a header": refused(hosts(HOST_LINE[:-2] + b"\nX: y\r\n")),
    "bare LF as the blank line": refused(b"GET / HTTP/1.1\r\n" + HOST_LINE + b"\n"),
    "bare CR behind the first line": refused(b"GET / HTTP/1.1\r" + HOST_LINE + b"\r\n"),
    "bare CR behind a header": refused(get(b"X: y\rZ: z\r\n")),
    "CR CR LF": refused(get(b"X: y\r\r\n")),
    "LF CR": refused(get(b"X: y\n\r")),
    "CR as the blank line": refused(b"GET / HTTP/1.1\r\n" + HOST_LINE + b"\r" + b"X: y\r\n\r\n"),
    "folded": refused(get(b"X: a\r\n b\r\n")),
    "folded with a tab": refused(get(b"X: a\r\n\tb\r\n")),
    "folded, empty first": refused(get(b"X:\r\n b\r\n")),
    "a fold that is only spaces": refused(get(b"X: a\r\n \r\n")),
    "a space before the first header": refused(line(b"GET / HTTP/1.1", b" X: y\r\n" + HOST_LINE)),
    "a tab before the first header": refused(line(b"GET / HTTP/1.1", b"\tX: y\r\n" + HOST_LINE)),
    "a space before a name": refused(get(b" X: y\r\n")),
    "a space before the colon": refused(get(b"X : y\r\n")),
    "a tab before the colon": refused(get(b"X\t: y\r\n")),
    "a space within a name": refused(get(b"X Y: z\r\n")),
    "no colon": refused(get(b"nonsense\r\n")),
    "no name": refused(get(b": y\r\n")),
    "a name in quotes": refused(get(b'"X": y\r\n')),
    "a name with brackets": refused(get(b"X[0]: y\r\n")),
    "a name with a slash": refused(get(b"X/Y: y\r\n")),
    "a name that is a pseudo header": refused(get(b":authority: evil\r\n")),
    "a name beyond ASCII": refused(get("Ä: y\r\n".encode())),
    "NUL in a name": refused(get(b"X\0Y: z\r\n")),
    "NUL in a value": refused(get(b"X: a\0b\r\n")),
    "backspace in a value": refused(get(b"X: a\x08b\r\n")),
    "escape in a value": refused(get(b"X: a\x1bb\r\n")),
    "DEL in a value": refused(get(b"X: a\x7fb\r\n")),
    "vertical tab in a value": refused(get(b"X: a\x0bb\r\n")),
    "form feed in a value": refused(get(b"X: a\x0cb\r\n")),
    "a tab in a value": passed(get(b"X: a\tb\r\n"), Seen(has=((b"x", b"a\tb"),))),
    "a value beyond ASCII": passed(get("X: ä\r\n".encode()), Seen(has=((b"x", "ä".encode()),))),
    "a value that looks like a request": passed(
        get(b"X: GET /smuggled HTTP/1.1\r\n"), Seen(has=((b"x", b"GET /smuggled HTTP/1.1"),))
    ),
    "encoded CR LF in a value": passed(
        get(b"X: a%0d%0aSet-Cookie: b\r\n"), Seen(has=((b"x", b"a%0d%0aSet-Cookie: b"),))
    ),
    "letters whose last byte is CR and LF": passed(
        get("X: \u560d\u560aY: z\r\n".encode()), Seen(has=((b"x", "\u560d\u560aY: z".encode()),))
    ),
    "an empty value": passed(get(b"X:\r\n"), Seen(has=((b"x", b""),))),
    "a colon in a value": passed(get(b"X: y: z\r\n"), Seen(has=((b"x", b"y: z"),))),
    "blank lines before": passed(b"\r\n\r\n" + get(), ROOT),
    "a bare LF before": refused(b"\n" + get()),
    "a bare LF behind a blank line before": refused(b"\r\n\n" + get()),
    "a bare CR before": refused(b"\r" + get()),
    "a space before": refused(b" " + get()),
    "a tab before": refused(b"\t" + get()),
    "a NUL before": refused(b"\0" + get()),
    "a byte order mark before": refused(b"\xef\xbb\xbf" + get()),
    "a space line before": refused(b" \r\n" + get()),
}

METHODS: dict[str, Row] = {
    "lower case": refused(get(method=b"get")),
    "mixed case": refused(get(method=b"Get")),
    "unknown": refused(get(method=b"BREW")),
    "empty": refused(get(method=b"")),
    "a NUL behind": refused(get(method=b"GET\0")),
    "a tab behind": refused(b"GET\t/ HTTP/1.1\r\n" + HOST_LINE + b"\r\n"),
    "two spaces behind": refused(b"GET  / HTTP/1.1\r\n" + HOST_LINE + b"\r\n"),
    "a CR LF behind": refused(b"GET\r\n/ HTTP/1.1\r\n" + HOST_LINE + b"\r\n"),
    "with a colon": refused(get(method=b"GET:")),
    "PRI": refused(get(method=b"PRI")),
    "PRI with a star": refused(get(target=b"*", method=b"PRI")),
    "SOURCE, of another protocol": refused(b"SOURCE /x ICE/1.0\r\n" + HOST_LINE + b"\r\n"),
    "DESCRIBE, of another protocol": refused(get(method=b"DESCRIBE")),
    "TRACE": passed(get(method=b"TRACE"), Seen(b"TRACE")),
    "CONNECT": refused(line(b"CONNECT " + HOST + b":80 HTTP/1.1"), 501, "upgrade_refused"),
    "CONNECT to a path": refused(get(method=b"CONNECT"), 501, "upgrade_refused"),
    "PROPFIND": passed(get(method=b"PROPFIND"), Seen(b"PROPFIND")),
}

TARGETS: dict[str, Row] = {
    "absolute form": passed(get(target=b"http://" + HOST + b"/x?y"), Seen(target=b"/x?y")),
    "absolute form, upper case": passed(get(target=b"HTTP://" + HOST + b"/x"), Seen(target=b"/x")),
    "absolute form, no path": passed(get(target=b"http://" + HOST), Seen(target=b"/")),
    "absolute form, only a query": passed(get(target=b"http://" + HOST + b"?a=b"), Seen(target=b"/?a=b")),
    "absolute form, its host wins": passed(
        line(b"GET http://%b/x HTTP/1.1" % HOST, b"Host: internal\r\n"), Seen(target=b"/x", has=((b"host", HOST),))
    ),
    "absolute form of another host": nowhere(
        passed(get(target=b"http://internal/x"), Seen(target=b"/x", has=((b"host", b"internal"),)))
    ),
    "absolute form without a Host": refused(line(b"GET http://%b/ HTTP/1.1" % HOST, b"")),
    "absolute form with two Hosts": refused(line(b"GET http://%b/ HTTP/1.1" % HOST, HOST_LINE + HOST_LINE)),
    "absolute form with user": refused(get(target=b"http://user@" + HOST + b"/")),
    "absolute form with user and password": refused(get(target=b"http://user:pass@" + HOST + b"/")),
    "absolute form, no host": refused(get(target=b"http:///x")),
    "absolute form, a bad port": refused(get(target=b"http://" + HOST + b":x/")),
    "absolute form, a fragment": refused(get(target=b"http://" + HOST + b"/#x")),
    "absolute form, a backslash": refused(get(target=b"http://" + HOST + b"\\@evil/")),
    "absolute form, one slash": refused(get(target=b"http:/" + HOST + b"/x")),
    "ftp": refused(get(target=b"ftp://" + HOST + b"/")),
    "file": refused(get(target=b"file:///etc/passwd")),
    "javascript": refused(get(target=b"javascript:alert(1)")),
    "authority form": refused(get(target=HOST + b":80")),
    "authority form of a POST": refused(line(b"POST %b:80 HTTP/1.1" % HOST)),
    "a star": refused(get(target=b"*")),
    "a star of OPTIONS": passed(get(target=b"*", method=b"OPTIONS"), Seen(b"OPTIONS", b"*")),
    "a star and more": refused(get(target=b"*/x", method=b"OPTIONS")),
    "a path without a slash": refused(get(target=b"x")),
    "a query without a slash": refused(get(target=b"?x")),
    "a space": refused(get(target=b"/a b")),
    "a space and a version": refused(get(target=b"/ HTTP/1.1\tx")),
    "a tab": refused(get(target=b"/a\tb")),
    "NUL": refused(get(target=b"/a\0b")),
    "a bare CR": refused(get(target=b"/a\rb")),
    "a bare LF": refused(get(target=b"/a\nb")),
    "DEL": refused(get(target=b"/a\x7fb")),
    "escape": refused(get(target=b"/a\x1bb")),
    "a fragment": refused(get(target=b"/a#b")),
    "beyond ASCII": refused(get(target="/ä".encode())),
    "encoded NUL": passed(get(target=b"/a%00b"), Seen(target=b"/a%00b")),
    "encoded CR LF and a request": passed(
        get(target=b"/%0d%0a%0d%0aGET%20/smuggled%20HTTP/1.1%0d%0a"),
        Seen(target=b"/%0d%0a%0d%0aGET%20/smuggled%20HTTP/1.1%0d%0a"),
    ),
    "encoded space and a version": passed(get(target=b"/%20HTTP/1.1"), Seen(target=b"/%20HTTP/1.1")),
    "a broken escape": passed(get(target=b"/%zz%"), Seen(target=b"/%zz%")),
    "dots": passed(get(target=b"/../../etc/passwd"), Seen(target=b"/../../etc/passwd")),
    "encoded dots": passed(get(target=b"/%2e%2e/%2e%2e/"), Seen(target=b"/%2e%2e/%2e%2e/")),
    "two slashes and a host": passed(get(target=b"//evil/x"), Seen(target=b"//evil/x")),
    "a backslash": passed(get(target=b"/\\evil"), Seen(target=b"/\\evil")),
    "a pipe and brackets": passed(get(target=b"/|[]{}^`<>\"'"), Seen(target=b"/|[]{}^`<>\"'")),
    "a version in the query": passed(get(target=b"/?HTTP/1.1"), Seen(target=b"/?HTTP/1.1")),
    "16 KiB": passed(get(target=b"/" + b"x" * 16_000), Seen(target=b"/" + b"x" * 16_000)),
    "beyond 16 KiB": refused(get(target=b"/" + b"x" * 17_000), *TOO_LONG),
    "endless": refused(b"GET /" + b"x" * 70_000, *TOO_LONG),
    "endless in absolute form": refused(b"GET http://" + b"x" * 70_000, *TOO_LONG),
}

VERSIONS: dict[str, Row] = {
    "1.0": Row(get(version=b"HTTP/1.0"), ((200, ""),), "closed", (ROOT,)),
    "1.0 kept": passed(get(b"Connection: keep-alive\r\n", version=b"HTTP/1.0"), ROOT),
    "1.0 without Host": Row(line(b"GET / HTTP/1.0", b""), ((200, ""),), "closed", (Seen(has=((b"host", b""),)),))
    .but("gateway", gets=((404, "no_route"),), seen=())
    .but("activator", gets=((404, "unknown_revision"),), seen=()),
    "1.0 in absolute form without Host": Row(
        line(b"GET http://%b/x HTTP/1.0" % HOST, b""),
        ((200, ""),),
        "closed",
        (Seen(target=b"/x", has=((b"host", HOST),)),),
    ),
    "0.9": refused(b"GET /\r\n\r\n"),
    "0.9 with headers": refused(b"GET /\r\n" + HOST_LINE + b"\r\n"),
    "0.9 said": refused(get(version=b"HTTP/0.9")),
    "1.2": refused(get(version=b"HTTP/1.2")),
    "1.9": refused(get(version=b"HTTP/1.9")),
    "2.0": refused(get(version=b"HTTP/2.0")),
    "2": refused(get(version=b"HTTP/2")),
    "3.0": refused(get(version=b"HTTP/3.0")),
    "1.10": refused(get(version=b"HTTP/1.10")),
    "01.1": refused(get(version=b"HTTP/01.1")),
    "1.01": refused(get(version=b"HTTP/1.01")),
    "1": refused(get(version=b"HTTP/1")),
    "1,1": refused(get(version=b"HTTP/1,1")),
    "minus": refused(get(version=b"HTTP/-1.1")),
    "plus": refused(get(version=b"HTTP/+1.1")),
    "lower case": refused(get(version=b"http/1.1")),
    "a space behind": refused(get(version=b"HTTP/1.1 ")),
    "a tab behind": refused(get(version=b"HTTP/1.1\t")),
    "two versions": refused(get(version=b"HTTP/1.1 HTTP/1.0")),
    "a space within": refused(get(version=b"HTTP/ 1.1")),
    "RTSP": refused(get(version=b"RTSP/1.0")),
    "RTSP of OPTIONS": refused(line(b"OPTIONS / RTSP/1.0")),
    "ICE": refused(get(version=b"ICE/1.0")),
    "HTTPS": refused(get(version=b"HTTPS/1.1")),
    "letters that upper-casing makes of others": refused(get(version="HTTP/1.1".replace("T", "т").encode())),
    "TLS": refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100),
    "SSH": refused(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "SMTP": refused(b"EHLO example.com\r\n"),
    "redis": refused(b"*1\r\n$4\r\nPING\r\n"),
    "PROXY protocol": refused(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get()),
}

HOSTS: dict[str, Row] = {
    "none": refused(hosts(b"")),
    "two": refused(hosts(HOST_LINE + HOST_LINE)),
    "two different": refused(hosts(HOST_LINE + b"Host: internal\r\n")),
    "two, other case": refused(hosts(HOST_LINE + b"hOST: internal\r\n")),
    "a list": refused(hosts(b"Host: %b, internal\r\n" % HOST)),
    "two words": refused(hosts(b"Host: %b internal\r\n" % HOST)),
    "a folded one": refused(hosts(b"Host:\r\n " + HOST + b"\r\n")),
    "a space before the colon": refused(hosts(b"Host : " + HOST + b"\r\n")),
    "with user": refused(hosts(b"Host: user@" + HOST + b"\r\n")),
    "with a path": refused(hosts(b"Host: " + HOST + b"/x\r\n")),
    "with a query": refused(hosts(b"Host: " + HOST + b"?x\r\n")),
    "with a fragment": refused(hosts(b"Host: " + HOST + b"#x\r\n")),
    "with a scheme": refused(hosts(b"Host: http://" + HOST + b"\r\n")),
    "with a backslash": refused(hosts(b"Host: " + HOST + b"\\x\r\n")),
    "with a bad port": refused(hosts(b"Host: " + HOST + b":x\r\n")),
    "with two ports": refused(hosts(b"Host: " + HOST + b":80:80\r\n")),
    "with a negative port": refused(hosts(b"Host: " + HOST + b":-80\r\n")),
    "in quotes": refused(hosts(b'Host: "' + HOST + b'"\r\n')),
    "NUL": refused(hosts(b"Host: " + HOST + b"\0\r\n")),
    "beyond ASCII": refused(hosts(b"Host: \xc3\xa4." + HOST + b"\r\n")),
    "a broken address": refused(hosts(b"Host: [::1\r\n")),
    "an address with a zone": refused(hosts(b"Host: [fe80::1%25eth0]\r\n")),
    "angle brackets": refused(hosts(b"Host: <%b>\r\n" % HOST)),
    "upper case": passed(hosts(b"HOST: " + HOST.upper() + b"\r\n"), Seen(has=((b"host", HOST.upper()),))),
    "with a port": passed(hosts(b"Host: " + HOST + b":8080\r\n"), Seen(has=((b"host", HOST + b":8080"),))),
    "an empty port": passed(hosts(b"Host: " + HOST + b":\r\n"), ROOT),
    "a dot behind": passed(hosts(b"Host: " + HOST + b".\r\n"), ROOT),
    "spaces around": passed(hosts(b"Host: \t " + HOST + b" \r\n"), ROOT),
    "empty": nowhere(passed(hosts(b"Host:\r\n"), Seen(has=((b"host", b""),)))),
    "an address": nowhere(passed(hosts(b"Host: [::1]:80\r\n"), ROOT)),
    "encoded": nowhere(passed(hosts(b"Host: %61pp\r\n"), ROOT)),
    "named by Connection": passed(get(b"Connection: host\r\n"), Seen(has=((b"host", HOST),))),
    "X-Forwarded-Host is another header": passed(get(b"X-Forwarded-Host: internal\r\n"), Seen(has=((b"host", HOST),))),
    "X-Original-Host is another header": passed(get(b"X-Original-Host: internal\r\n"), Seen(has=((b"host", HOST),))),
}

SIZES: dict[str, Row] = {
    "60 KiB of a header": passed(get(b"X: " + b"y" * 60_000 + b"\r\n"), Seen(has=((b"x", b"y" * 60_000),))),
    "64 KiB of a header": refused(get(b"X: " + b"y" * 66_000 + b"\r\n"), *TOO_LARGE),
    "an endless header": refused(get()[:-2] + b"X: " + b"y" * 70_000, *TOO_LARGE),
    "an endless name": refused(get()[:-2] + b"y" * 70_000, *TOO_LARGE),
    "90 headers": passed(get(b"X: y\r\n" * 90), ROOT),
    "128 headers": refused(get(b"X: y\r\n" * 128), *TOO_LARGE),
    "10,000 headers": refused(get(b"X:y\r\n" * 10_000), *TOO_LARGE),
    "50,000 blank lines": refused(b"\r\n" * 50_000, *TOO_LARGE),
    "200 cookies": refused(get(b"Cookie: a=b\r\n" * 200), *TOO_LARGE),
    "a body in place of a head": refused(b"x" * 70_000),
    "100 names in Connection": passed(get(b"Connection: " + b"x," * 5000 + b"y\r\n"), ROOT),
}

INTERNAL: dict[str, Row] = {
    "a revision of one's own": passed(
        post(b"X-Tidegate-Anything: 1\r\nX-TIDEGATE-Uncounted: 1\r\nContent-Length: 0\r\n"),
        Seen(b"POST", lacks=(b"x-tidegate-anything",)),
    ),
    "internal headers": passed(
        get(b"K-Original-Host: x\r\nK-Passthrough-Lb: x\r\nK-Network-Hash: x\r\n"),
        Seen(lacks=(b"k-original-host", b"k-passthrough-lb", b"k-network-hash")),
    ),
    "headers named by Connection": passed(
        get(b"Connection: X-A, X-B\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n"),
        Seen(has=((b"x-c", b"3"),), lacks=(b"x-a", b"x-b", b"connection")),
    ),
    "hop-by-hop headers": passed(
        get(b"Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nTE: gzip\r\n"),
        Seen(lacks=(b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te")),
    ),
    "TE: trailers": passed(get(b"TE: trailers\r\n"), Seen(has=((b"te", b"trailers"),))),
}

TABLES = {
    "lines": LINES,
    "method": METHODS,
    "target": TARGETS,
    "version": VERSIONS,
    "host": HOSTS,
    "size": SIZES,
    "internal": INTERNAL,
}
