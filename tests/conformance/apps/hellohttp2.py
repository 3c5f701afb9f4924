"""Says what $RESPONSE holds, or by which protocol it was asked; speaks HTTP/2 in clear text and HTTP/1.1."""

import os

from examples import httpd
from tests.conformance.apps import http2


def answer(_request: httpd.Request, protocol: str) -> httpd.Reply:
    """Answer every request alike."""
    return httpd.Reply(200, (os.environ.get("RESPONSE") or protocol).encode())


if __name__ == "__main__":
    http2.server(answer).run()
