"""Passes every request on to the container beside it, on localhost:$FORWARD_PORT (8882)."""

import os
import urllib.error
import urllib.request

from examples import httpd

TARGET = f"http://127.0.0.1:{os.environ.get('FORWARD_PORT', '8882')}"
TIMEOUT_S = 10.0


def answer(request: httpd.Request) -> httpd.Reply:
    """Answer with what the other container says."""
    try:
        with urllib.request.urlopen(TARGET + request.path, timeout=TIMEOUT_S) as reply:
            return httpd.Reply(int(reply.status), reply.read())
    except (urllib.error.URLError, OSError) as error:
        return httpd.Reply(502, f"{error}\n".encode())


if __name__ == "__main__":
    httpd.Server(answer).run()
