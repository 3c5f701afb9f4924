"""Serves the file /hello/world, or the one that the first argument names; not ready while there is none."""

import sys
from pathlib import Path

from examples import httpd

FILE = Path(sys.argv[1] if len(sys.argv) > 1 else "/hello/world")


def answer(_request: httpd.Request) -> httpd.Reply:
    """Answer with the file's bytes."""
    try:
        return httpd.Reply(200, FILE.read_bytes())
    except OSError as error:
        return httpd.Reply(404, f"{error}\n".encode())


if __name__ == "__main__":
    httpd.Server(answer).run()
