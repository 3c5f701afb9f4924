"""Where a request's body ends: Content-Length, Transfer-Encoding, both, neither, and everything that looks like them.

Two parties that answer this differently are how requests are smuggled, so whatever is not plain is refused and the
connection closed. Rows that pass are those on which all parsers agree.
"""

from __future__ import annotations

from tests.support.hostile_rows import CHUNKED, HOST_LINE, Row, Seen, get, passed, post, refused

SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST_LINE + b"\r\n"
BODY = b"5\r\nhello\r\n0\r\n\r\n"
END = b"0\r\n\r\n"
HELLO = Seen(b"POST", b"/", b"hello")
LENGTH = b"Content-Length: %d\r\n"


def coding(line: bytes) -> bytes:
    """Return a request that says its coding by `line` and its length too short, so that a reader of it is fooled."""
    return post(line, b"5\r\nhello\r\n0\r\n\r\n")


BOTH: dict[str, Row] = {
    "CL.TE": refused(post(LENGTH % 6 + CHUNKED, END + b"G")),
    "CL.TE, the rest is a request": refused(post(LENGTH % 4 + CHUNKED, b"1\r\nA\r\n" + END + SMUGGLED)),
    "TE.CL": refused(post(CHUNKED + LENGTH % 4, b"5c\r\n" + SMUGGLED + b"\r\n" + END)),
    "TE.CL, lower case": refused(post(b"transfer-encoding: chunked\r\ncontent-length: 4\r\n", BODY)),
    "CL.TE, length zero": refused(post(LENGTH % 0 + CHUNKED, END)),
    "CL.TE, lengths agree with the chunks": refused(post(LENGTH % len(BODY) + CHUNKED, BODY)),
    "CL.TE, a coding that is none": refused(post(LENGTH % 5 + b"Transfer-Encoding: identity\r\n", b"hello")),
    "CL.TE, an empty coding": refused(post(LENGTH % 5 + b"Transfer-Encoding:\r\n", b"hello")),
    "CL.TE with Connection naming the length": refused(
        post(b"Connection: content-length\r\n" + LENGTH % 4 + CHUNKED, BODY)
    ),
    "CL.TE with Connection naming the coding": refused(
        post(b"Connection: transfer-encoding\r\n" + LENGTH % 4 + CHUNKED, BODY)
    ),
    "CL.TE in HTTP/1.0": refused(b"POST / HTTP/1.0\r\n" + HOST_LINE + LENGTH % 4 + CHUNKED + b"\r\n" + BODY),
    "CL.TE of a GET": refused(get(LENGTH % 4 + CHUNKED) + BODY),
}

CODINGS: dict[str, Row] = {
    "chunked": passed(coding(CHUNKED), HELLO),
    "any case": passed(coding(b"tRANSFER-eNCODING: cHuNkEd\r\n"), HELLO),
    "no space": passed(coding(b"Transfer-Encoding:chunked\r\n"), HELLO),
    "spaces around": passed(coding(b"Transfer-Encoding:  \t chunked  \r\n"), HELLO),
    "a tab behind": refused(coding(b"Transfer-Encoding: chunked\t\r\n")),
    "of a GET": passed(get(CHUNKED) + BODY, Seen(b"GET", b"/", b"hello")),
    "xchunked": refused(coding(b"Transfer-Encoding: xchunked\r\n")),
    "chunkedx": refused(coding(b"Transfer-Encoding: chunkedx\r\n")),
    "two words": refused(coding(b"Transfer-Encoding: x chunked\r\n")),
    "space before the colon": refused(coding(b"Transfer-Encoding : chunked\r\n")),
    "tab before the colon": refused(coding(b"Transfer-Encoding\t: chunked\r\n")),
    "vertical tab before the value": refused(coding(b"Transfer-Encoding:\x0bchunked\r\n")),
    "vertical tab behind the value": refused(coding(b"Transfer-Encoding: chunked\x0b\r\n")),
    "form feed before the value": refused(coding(b"Transfer-Encoding:\x0cchunked\r\n")),
    "form feed behind the value": refused(coding(b"Transfer-Encoding: chunked\x0c\r\n")),
    "NUL behind the value": refused(coding(b"Transfer-Encoding: chunked\0\r\n")),
    "backspace in the name": refused(coding(b"Transfer-Encodin\x08g: chunked\r\n")),
    "no-break space": refused(coding(b"Transfer-Encoding:\xa0chunked\r\n")),
    "file separator behind": refused(coding(b"Transfer-Encoding: chunked\x1c\r\n")),
    "next line (0x85) behind": refused(coding(b"Transfer-Encoding: chunked\x85\r\n")),
    "DEL behind": refused(coding(b"Transfer-Encoding: chunked\x7f\r\n")),
    "double quotes": refused(coding(b'Transfer-Encoding: "chunked"\r\n')),
    "single quotes": refused(coding(b"Transfer-Encoding: 'chunked'\r\n")),
    "a parameter": refused(coding(b"Transfer-Encoding: chunked;x=y\r\n")),
    "a comma before": refused(coding(b"Transfer-Encoding: , chunked\r\n"), 501, "upgrade_refused"),
    "a comma behind": refused(coding(b"Transfer-Encoding: chunked,\r\n")),
    "chunked, identity": refused(coding(b"Transfer-Encoding: chunked, identity\r\n")),
    "identity, chunked": refused(coding(b"Transfer-Encoding: identity, chunked\r\n"), 501, "upgrade_refused"),
    "chunked, cow": refused(coding(b"Transfer-Encoding: chunked, cow\r\n")),
    "gzip, chunked": refused(coding(b"Transfer-Encoding: gzip, chunked\r\n"), 501, "upgrade_refused"),
    "chunked, chunked": refused(coding(b"Transfer-Encoding: chunked, chunked\r\n")),
    "chunked, gzip": refused(coding(b"Transfer-Encoding: chunked, gzip\r\n")),
    "identity": refused(coding(b"Transfer-Encoding: identity\r\n")),
    "gzip": refused(coding(b"Transfer-Encoding: gzip\r\n")),
    "empty": refused(coding(b"Transfer-Encoding:\r\n")),
    "TE.TE: twice": refused(coding(CHUNKED + CHUNKED)),
    "TE.TE: identity behind": refused(coding(CHUNKED + b"Transfer-Encoding: identity\r\n")),
    "TE.TE: identity before": refused(coding(b"Transfer-Encoding: identity\r\n" + CHUNKED), 501, "upgrade_refused"),
    "TE.TE: cow before": refused(coding(b"Transfer-Encoding: cow\r\n" + CHUNKED), 501, "upgrade_refused"),
    "TE.TE: cow behind, other case": refused(coding(CHUNKED + b"transfer-encoding: cow\r\n")),
    "TE.TE: empty behind": refused(coding(CHUNKED + b"Transfer-Encoding:\r\n")),
    "TE.TE: folded": refused(coding(b"Transfer-Encoding:\r\n chunked\r\n")),
    "TE.TE: folded with a tab": refused(coding(b"Transfer-Encoding: identity\r\n\tchunked\r\n")),
    "TE.TE: folded behind another": refused(coding(b"X: y\r\n Transfer-Encoding: chunked\r\n")),
    "TE.TE: behind a bare LF": refused(coding(b"X: y\nTransfer-Encoding: chunked\r\n")),
    "TE.TE: behind a bare CR": refused(coding(b"X: y\rTransfer-Encoding: chunked\r\n")),
    "TE.TE: behind CR CR LF": refused(coding(b"X: y\r\r\nTransfer-Encoding: chunked\r\n")),
    "TE.TE: behind a NUL": refused(coding(b"X: y\0Transfer-Encoding: chunked\r\n")),
    "an underscore is another header": passed(post(b"Transfer_Encoding: chunked\r\n" + LENGTH % 5, b"hello"), HELLO),
    "a suffix is another header": passed(post(b"Transfer-Encodingx: chunked\r\n" + LENGTH % 5, b"hello"), HELLO),
    "a prefix is another header": passed(post(b"X-Transfer-Encoding: chunked\r\n" + LENGTH % 5, b"hello"), HELLO),
    "Content-Encoding is no framing": passed(post(b"Content-Encoding: chunked\r\n" + LENGTH % 5, b"hello"), HELLO),
    "in HTTP/1.0": refused(b"POST / HTTP/1.0\r\n" + HOST_LINE + CHUNKED + b"\r\n" + BODY),
    "named by Connection": passed(coding(b"Connection: transfer-encoding\r\n" + CHUNKED), HELLO),
}

LENGTHS: dict[str, Row] = {
    "plain": passed(post(LENGTH % 5, b"hello"), HELLO),
    "zero": passed(post(LENGTH % 0), Seen(b"POST")),
    "zeros before": passed(post(b"Content-Length: 0005\r\n", b"hello"), HELLO),
    "spaces around": passed(post(b"Content-Length: \t 5 \t\r\n", b"hello"), HELLO),
    "of a GET": passed(get(LENGTH % 5) + b"hello", Seen(b"GET", b"/", b"hello")),
    "of a HEAD": passed(get(LENGTH % 5, method=b"HEAD") + b"hello", Seen(b"HEAD", b"/", b"hello")),
    "of a DELETE": passed(get(LENGTH % 5, method=b"DELETE") + b"hello", Seen(b"DELETE", b"/", b"hello")),
    "named by Connection": passed(post(b"Connection: content-length\r\n" + LENGTH % 5, b"hello"), HELLO),
    "CL.0: a GET whose body is a request": passed(get(LENGTH % len(SMUGGLED)) + SMUGGLED, Seen(b"GET", b"/", SMUGGLED)),
    "CL.0: a HEAD whose body is a request": passed(
        get(LENGTH % len(SMUGGLED), method=b"HEAD") + SMUGGLED, Seen(b"HEAD", b"/", SMUGGLED)
    ),
    "CL.0: an OPTIONS whose body is a request": passed(
        get(LENGTH % len(SMUGGLED), method=b"OPTIONS") + SMUGGLED, Seen(b"OPTIONS", b"/", SMUGGLED)
    ),
    "0.CL: no length, what follows is a request": passed(
        post(b"") + SMUGGLED, Seen(b"POST"), Seen(b"GET", b"/smuggled")
    ),
    "twice": refused(post(LENGTH % 5 + LENGTH % 5, b"hello")),
    "twice, other case": refused(post(LENGTH % 5 + b"content-length: 5\r\n", b"hello")),
    "twice, different": refused(post(LENGTH % 5 + LENGTH % 0, b"hello")),
    "twice, zero first": refused(post(LENGTH % 0 + LENGTH % len(SMUGGLED), SMUGGLED)),
    "a list of equals": refused(post(b"Content-Length: 5, 5\r\n", b"hello")),
    "a list of different": refused(post(b"Content-Length: 5, 0\r\n", b"hello")),
    "a comma": refused(post(b"Content-Length: 5,\r\n", b"hello")),
    "empty": refused(post(b"Content-Length:\r\n", b"hello")),
    "a space": refused(post(b"Content-Length: \r\n", b"hello")),
    "plus": refused(post(b"Content-Length: +5\r\n", b"hello")),
    "minus": refused(post(b"Content-Length: -5\r\n", b"hello")),
    "minus zero": refused(post(b"Content-Length: -0\r\n", b"hello")),
    "hexadecimal": refused(post(b"Content-Length: 0x5\r\n", b"hello")),
    "hexadecimal digits": refused(post(b"Content-Length: a\r\n", b"hellohello")),
    "octal": refused(post(b"Content-Length: 0o5\r\n", b"hello")),
    "a point": refused(post(b"Content-Length: 5.0\r\n", b"hello")),
    "an exponent": refused(post(b"Content-Length: 5e0\r\n", b"hello")),
    "an underscore": refused(post(b"Content-Length: 0_5\r\n", b"hello")),
    "a space between digits": refused(post(b"Content-Length: 0 5\r\n", b"hello")),
    "a tab between digits": refused(post(b"Content-Length: 0\t5\r\n", b"hello")),
    "behind a vertical tab": refused(post(b"Content-Length:\x0b5\r\n", b"hello")),
    "before a vertical tab": refused(post(b"Content-Length: 5\x0b\r\n", b"hello")),
    "before a form feed": refused(post(b"Content-Length: 5\x0c\r\n", b"hello")),
    "NUL": refused(post(b"Content-Length: 5\0\r\n", b"hello")),
    "quotes": refused(post(b'Content-Length: "5"\r\n', b"hello")),
    "a comment": refused(post(b"Content-Length: 5 (five)\r\n", b"hello")),
    "a semicolon": refused(post(b"Content-Length: 5;\r\n", b"hello")),
    "Arabic digits": refused(post("Content-Length: ٥\r\n".encode(), b"hello")),
    "superscript digits": refused(post(b"Content-Length: \xb2\r\n", b"hello")),
    "beyond 64 bits": refused(post(b"Content-Length: 18446744073709551621\r\n", b"hello")),
    "beyond 63 bits": refused(post(b"Content-Length: 9223372036854775808\r\n", b"hello")),
    "thirty digits": refused(post(b"Content-Length: 000000000000000000000000000005\r\n", b"hello")),
    "a thousand digits": refused(post(b"Content-Length: " + b"9" * 1000 + b"\r\n", b"hello")),
    "space before the colon": refused(post(b"Content-Length : 5\r\n", b"hello")),
    "folded": refused(post(b"Content-Length:\r\n 5\r\n", b"hello")),
    "folded digits": refused(post(b"Content-Length: 1\r\n 5\r\n", b"hello")),
    "an underscore in the name is another header": passed(post(b"Content_Length: 9\r\n" + LENGTH % 5, b"hello"), HELLO),
}

TABLES = {"both": BOTH, "coding": CODINGS, "length": LENGTHS}
