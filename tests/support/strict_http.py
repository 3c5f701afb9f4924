"""HTTP/1.1 read by parsers that are not the engine's: one that takes nothing but the grammar, and three others.

`requests_of` and `answer_of` return what a byte stream says, or raise `Malformed`: a byte too many, a line that is
not CRLF, a length that is not digits. `readings_of_requests` and `readings_of_answers` return the same stream as others
read it; bytes that two of them read differently are how requests are smuggled.
"""

from __future__ import annotations

import asyncio
import http.client
import http.server
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import h11
from aiohttp import http_parser

Headers = tuple[tuple[bytes, bytes], ...]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e\x80-\xff]+) HTTP/1\.1" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9]\d\d) [\t\x20-\x7e\x80-\xff]*")
_LINE = re.compile(rb"(%b):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*" % _TOKEN)
_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")
_LENGTH = re.compile(rb"\d{1,18}")


class Malformed(ValueError):
    """These bytes are not HTTP/1.1 by the letter."""


@dataclass
class Message:
    """One message. `start`: method and target, or the status. Names are in lower case."""

    start: tuple[bytes, bytes]
    headers: Headers
    body: bytes = b""
    trailers: Headers = ()
    interim: list[int] = field(default_factory=list)

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def status(self) -> int:
        return int(self.start[0])

    @property
    def reason(self) -> str:
        return (self.header(b"x-tidegate-reason") or b"").decode()


def head_of(raw: bytes, *, is_answer: bool = False) -> tuple[Message, int] | None:
    """Return the head that begins `raw` and where it ends, None when it is not complete."""
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = raw[:end].split(b"\r\n")
    match = (_STATUS_LINE if is_answer else _REQUEST_LINE).fullmatch(first)
    if match is None:
        raise Malformed(f"first line {first[:200]!r}")
    return Message((match[1], b"" if is_answer else match[2]), _lines_of(lines)), end + 4


def _lines_of(lines: list[bytes]) -> Headers:
    found = []
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise Malformed(f"header line {line[:200]!r}")
        found.append((match[1].lower(), match[2]))
    return tuple(found)


def body_of(message: Message, raw: bytes, position: int, *, has_body: bool = True) -> int | None:
    """Read the message's body from `position`; return where it ends, None when it is not complete."""
    lengths = [value for name, value in message.headers if name == b"content-length"]
    codings = [value for name, value in message.headers if name == b"transfer-encoding"]
    if (lengths and codings) or len(lengths) > 1 or len(codings) > 1:
        raise Malformed(f"framing {lengths} {codings}")
    if codings and codings[0].lower() != b"chunked":
        raise Malformed(f"coding {codings[0]!r}")
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        raise Malformed(f"length {lengths[0]!r}")
    if not has_body:
        return position
    if codings:
        return _chunks(message, raw, position)
    end = position + (int(lengths[0]) if lengths else 0)
    if end > len(raw):
        return None
    message.body = raw[position:end]
    return end


def _chunks(message: Message, raw: bytes, position: int) -> int | None:
    body = b""
    while True:
        end = raw.find(b"\r\n", position)
        if end < 0:
            return None
        if not _SIZE.fullmatch(raw[position:end]):
            raise Malformed(f"chunk size {raw[position:end][:100]!r}")
        size, position = int(raw[position:end], 16), end + 2
        if size == 0:
            break
        if len(raw) < position + size + 2:
            return None
        if raw[position + size : position + size + 2] != b"\r\n":
            raise Malformed("a chunk is longer than its size")
        body, position = body + raw[position : position + size], position + size + 2
    end = position if raw[position : position + 2] == b"\r\n" else raw.find(b"\r\n\r\n", position) + 2
    if end < position or len(raw) < end + 2:
        return None
    message.body = body
    message.trailers = _lines_of(raw[position:end].split(b"\r\n")[:-1])
    return end + 2


def request_of(raw: bytes, position: int = 0) -> tuple[Message, int] | None:
    """Return the request that begins at `position` and where it ends, None when it is not complete."""
    head = head_of(raw[position:])
    if head is None:
        return None
    end = body_of(head[0], raw, position + head[1])
    return None if end is None else (head[0], end)


def requests_of(raw: bytes) -> list[Message]:
    """Return all requests of a stream that ends behind one."""
    found, position = [], 0
    while position < len(raw):
        request = request_of(raw, position)
        if request is None:
            raise Malformed(f"ends within a message: {raw[position:][:200]!r}")
        found.append(request[0])
        position = request[1]
    return found


def answer_of(raw: bytes, position: int = 0, method: bytes = b"GET") -> tuple[Message, int] | None:
    """Return the final answer that begins at `position` and where it ends, None when it is not complete."""
    interim: list[int] = []
    while True:
        head = head_of(raw[position:], is_answer=True)
        if head is None:
            return None
        message, position = head[0], position + head[1]
        if 100 <= message.status < 200 and message.status != 101:
            interim.append(message.status)
            continue
        has_body = method != b"HEAD" and message.status not in (101, 204, 304)
        end = body_of(message, raw, position, has_body=has_body)
        message.interim = interim
        return None if end is None else (message, end)


# --- the others ---

Reading = list[tuple[tuple[bytes, bytes], Headers, bytes]]


def readings_of_requests(raw: bytes) -> dict[str, Reading]:
    """Return a stream of whole requests as each parser reads it. Raises what a parser raises."""
    parsers: dict[str, Callable[[bytes], Reading]] = {
        "h11": _h11_requests,
        "aiohttp": _aiohttp_requests,
        "http.server": _stdlib_requests,
    }
    return {name: parse(raw) for name, parse in parsers.items()} | {
        "strict": [(message.start, message.headers, message.body) for message in requests_of(raw)]
    }


def _h11_requests(raw: bytes) -> Reading:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(raw)
    found: Reading = []
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            found.append(((event.method, event.target), tuple(event.headers), b""))
        elif isinstance(event, h11.Data):
            start, headers, body = found[-1]
            found[-1] = (start, headers, body + bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.their_state is h11.MUST_CLOSE:
                return found
            connection.start_next_cycle()
        else:
            assert connection.trailing_data[0] == b"", connection.trailing_data
            return found


def _aiohttp_requests(raw: bytes) -> Reading:
    loop = asyncio.get_running_loop()
    protocol = mock.Mock(_reading_paused=False)
    limits: dict[str, Any] = {"max_line_size": 1 << 20, "max_field_size": 1 << 20, "limit": 1 << 24, "max_headers": 200}
    found: Reading = []
    while raw:
        parser = http_parser.HttpRequestParserPy(protocol, loop, auto_decompress=False, **limits)
        messages, is_upgraded, tail = parser.feed_data(raw)
        # It takes every Upgrade for granted; what stands behind one that the app refused is a request again.
        assert is_upgraded or not tail, tail
        raw = tail
        for message, payload in messages:
            assert getattr(payload, "_eof", True), "the body is not complete"
            headers = tuple((bytes(name).lower(), bytes(value)) for name, value in message.raw_headers)
            body = b"".join(getattr(payload, "_buffer", ()))
            start = (message.method.encode(), message.path.encode("utf-8", "surrogateescape"))
            found.append((start, headers, body))
    return found


class _Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, source: io.BytesIO) -> None:  # pylint: disable=super-init-not-called
        self.rfile = source  # type: ignore[assignment]
        self.errors: list[object] = []
        self.raw_requestline = source.readline(1 << 16)
        self.request_version = ""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.errors.append((code, message))

    def handle_expect_100(self) -> bool:
        return True


def _stdlib_requests(raw: bytes) -> Reading:
    source, found = io.BytesIO(raw), []
    while source.tell() < len(raw):
        handler = _Handler(source)
        assert handler.parse_request(), handler.errors
        headers = tuple(
            (name.lower().encode("latin-1"), value.encode("latin-1").strip(b" \t"))
            for name, value in handler.headers.items()
        )
        body = b""
        if b"transfer-encoding" in dict(headers) or b"content-length" in dict(headers):
            # The library reads chunks for answers only: the body is shown to it behind a status line.
            head = b"".join(b"%b: %b\r\n" % line for line in headers)
            body = _stdlib_answer(source, b"HTTP/1.1 200 OK\r\n%b\r\n" % head)
        target = handler.requestline.split(" ")[1]  # its `path` has no second slash at the beginning
        found.append(((handler.command.encode(), target.encode("latin-1")), headers, body))
    return found


def _stdlib_answer(source: io.BytesIO, head: bytes) -> bytes:
    rest = source.read()
    joined = io.BytesIO(head + rest)
    response = http.client.HTTPResponse(mock.Mock(makefile=lambda mode: joined))
    response.begin()
    response.fp = _Open(joined)  # type: ignore[assignment]
    body = response.read()
    source.seek(source.tell() - len(rest) + joined.tell() - len(head))
    return body


class _Open(io.BytesIO):
    """Reads another stream and leaves it open when it is closed."""

    def __init__(self, source: io.BytesIO) -> None:
        super().__init__()
        self._source = source

    def read(self, size: int | None = -1) -> bytes:
        return self._source.read(size)

    def readline(self, size: int | None = -1) -> bytes:
        return self._source.readline(size)

    def read1(self, size: int | None = -1) -> bytes:
        return self._source.read(size)

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def readings_of_answers(raw: bytes, methods: list[bytes]) -> dict[str, list[tuple[int, bytes]]]:
    """Return a stream of whole final answers, status and body, as each parser reads it."""
    strict, position = [], 0
    for method in methods:
        answer = answer_of(raw, position, method)
        if answer is None:
            raise Malformed(f"ends within an answer: {raw[position:][:200]!r}")
        strict.append((answer[0].status, answer[0].body))
        position = answer[1]
    if position != len(raw):
        raise Malformed(f"goes on behind the answers: {raw[position:][:200]!r}")
    return {"strict": strict, "h11": _h11_answers(raw, methods), "http.client": _stdlib_answers(raw, methods)}


def _h11_answers(raw: bytes, methods: list[bytes]) -> list[tuple[int, bytes]]:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.receive_data(raw)
    found: list[tuple[int, bytes]] = []
    for method in methods:
        connection.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
        connection.send(h11.EndOfMessage())
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                found.append((event.status_code, b""))
            elif isinstance(event, h11.Data):
                found[-1] = (found[-1][0], found[-1][1] + bytes(event.data))
            else:
                assert isinstance(event, h11.InformationalResponse), event
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            connection.start_next_cycle()
    assert connection.trailing_data[0] == b""
    return found


def _stdlib_answers(raw: bytes, methods: list[bytes]) -> list[tuple[int, bytes]]:
    source, found = io.BytesIO(raw), []
    for method in methods:
        status = 103
        while 100 <= status < 200 and status != 101:
            response = http.client.HTTPResponse(mock.Mock(makefile=lambda mode: _Open(source)), method=method.decode())
            response.begin()
            status = response.status
        found.append((response.status, response.read()))
    assert source.tell() == len(raw)
    return found
