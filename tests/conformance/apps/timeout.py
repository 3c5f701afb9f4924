"""Takes its time: `?initialTimeout=MS` before the head, `?timeout=MS` between the first and the last byte."""

from __future__ import annotations

import time
from urllib.parse import parse_qs

from examples import httpd


def answer(request: httpd.Request) -> httpd.Reply:
    """Wait, answer with a head and a first piece, wait again, end."""
    query = parse_qs(request.query)
    first_ms, rest_ms = (int(query.get(name, ["0"])[0]) for name in ("initialTimeout", "timeout"))
    time.sleep(first_ms / 1000)

    def body(stream: httpd.Stream) -> None:
        if rest_ms:
            stream.write(httpd.chunk(b"\n"))
            time.sleep(rest_ms / 1000)
        stream.write(httpd.chunk(f"Slept for {first_ms + rest_ms} milliseconds".encode()) + httpd.chunk(b""))

    headers = (("content-type", "text/plain"), ("transfer-encoding", "chunked"), ("connection", "close"))
    return httpd.Reply(200, headers=headers, take_over=body)


if __name__ == "__main__":
    httpd.Server(answer).run()
