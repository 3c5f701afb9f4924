"""HTTP/2 in clear text for the test programs, beside HTTP/1.1 on the same port; no program by itself.

`streams(answer)` is what `httpd.Server` needs: a connection that begins with HTTP/2's preface looks to it like a
request for the path `*`. One request is answered at a time, which is all that the tests need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded

from examples import httpd

Answer = Callable[[httpd.Request, str], httpd.Reply]
"""Called with the request and its protocol, `HTTP/1.1` or `HTTP/2.0`."""

PREFACE, REST_OF_PREFACE_BYTES, FRAME_HEAD_BYTES = b"PRI * HTTP/2.0\r\n\r\n", 6, 9


def server(answer: Answer) -> httpd.Server:
    """Return a server of both protocols."""
    return httpd.Server(lambda request: answer(request, "HTTP/1.1"), streams(answer))


def streams(answer: Answer) -> Mapping[str, Callable[[httpd.Request, httpd.Stream], None]]:
    """Return who takes over connections that speak HTTP/2."""
    return {"*": lambda _request, stream: _serve(answer, stream)}


def _serve(answer: Answer, stream: httpd.Stream) -> None:
    connection = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
    connection.initiate_connection()
    connection.receive_data(PREFACE + stream.read_exactly(REST_OF_PREFACE_BYTES))
    heads: dict[int, httpd.Request] = {}
    while True:
        stream.write(connection.data_to_send())
        head = stream.read_exactly(FRAME_HEAD_BYTES)
        for event in connection.receive_data(head + stream.read_exactly(int.from_bytes(head[:3], "big"))):
            _take(connection, heads, event, answer)


def _take(connection: H2Connection, heads: dict[int, httpd.Request], event: Event, answer: Answer) -> None:
    if isinstance(event, RequestReceived):
        heads[event.stream_id] = _request([(str(name), str(value)) for name, value in event.headers])
    elif isinstance(event, DataReceived):
        connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
    elif isinstance(event, StreamEnded) and event.stream_id in heads:
        reply = answer(heads.pop(event.stream_id), "HTTP/2.0")
        fields = [(":status", str(reply.status)), ("content-type", reply.content_type), *reply.headers]
        connection.send_headers(event.stream_id, fields)
        connection.send_data(event.stream_id, reply.body, end_stream=True)


def _request(fields: list[tuple[str, str]]) -> httpd.Request:
    headers = dict(fields)
    path, _, query = headers.pop(":path", "/").partition("?")
    headers.setdefault("host", headers.pop(":authority", ""))
    return httpd.Request(headers.pop(":method", "GET"), path, query, headers, b"")
