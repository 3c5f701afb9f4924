"""Answers in every shape that HTTP/1.1 has: `python -m examples.echo`.

POST: the body comes back. `/headers`: what reached the app. `/wait?ms=500`: a long poll. `/bytes?count=5`: that
many bytes. `/events?count=3&ms=100`: server-sent events. `/duplex`: each piece of the body comes back while the rest is
still on its way, and the trailer `Echo-Bytes` counts them.
"""

import os
import time
from urllib.parse import parse_qs

from examples import httpd

REVISION = os.environ.get("K_REVISION", "no revision")
COUNT_LIMIT = 16 << 20


def answer(request: httpd.Request) -> httpd.Reply:
    """Answer with a body of known length."""
    if request.path == "/headers":
        return httpd.Reply(200, "".join(f"{name}: {value}\n" for name, value in request.headers.items()).encode())
    if request.path == "/wait":
        time.sleep(number(request, "ms") / 1000)
        return httpd.Reply(200, b"waited\n")
    if request.path == "/bytes":
        return httpd.Reply(200, bytes(number(request, "count")), "application/octet-stream")
    return httpd.Reply(200, request.body or f"echo ({REVISION})\n".encode())


def events(request: httpd.Request, stream: httpd.Stream) -> None:
    """Send `count` events, one each `ms` milliseconds."""
    begin(stream, "text/event-stream")
    for turn in range(number(request, "count")):
        stream.write(httpd.chunk(b"data: %d\n\n" % turn))
        time.sleep(number(request, "ms") / 1000)
    stream.write(b"0\r\n\r\n")


def duplex(request: httpd.Request, stream: httpd.Stream) -> None:
    """Send each piece of the body back at once, then a trailer."""
    begin(stream, "application/octet-stream", ("Trailer", "Echo-Bytes"))
    total = 0
    for piece in httpd.pieces(request, stream):
        total += len(piece)
        stream.write(httpd.chunk(piece))
    stream.write(b"0\r\nEcho-Bytes: %d\r\n\r\n" % total)


def begin(stream: httpd.Stream, content_type: str, *more: tuple[str, str]) -> None:
    """Write the head of a chunked answer, the last one of its connection."""
    fields = (("Content-Type", content_type), ("Transfer-Encoding", "chunked"), ("Connection", "close"), *more)
    stream.write(httpd.head(200, fields))


def number(request: httpd.Request, name: str) -> int:
    """Return a whole number of the query, 0 without one."""
    value = int(parse_qs(request.query).get(name, ["0"])[0])
    if not 0 <= value <= COUNT_LIMIT:
        raise httpd.BadRequest(f"{name} must be 0 to {COUNT_LIMIT}")
    return value


if __name__ == "__main__":
    httpd.Server(answer, {"/events": events, "/duplex": duplex}).run()
