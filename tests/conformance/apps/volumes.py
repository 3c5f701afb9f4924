"""Writes `testfile` into $DATA_PATH (/data) when it starts, and serves it; SKIP_DATA_WRITE and SKIP_DATA_SERVE leave
one of the two out, so that it can be an init container, or one of two."""

import os
import sys
from pathlib import Path

from examples import httpd

FILE = Path(os.environ.get("DATA_PATH", "/data")) / "testfile"
TEXT = "From file in empty dir!"


def answer(_request: httpd.Request) -> httpd.Reply:
    """Answer with what the file says."""
    try:
        return httpd.Reply(200, FILE.read_bytes() + b"\n")
    except OSError as error:
        return httpd.Reply(500, f"{error}\n".encode())


if __name__ == "__main__":
    if "SKIP_DATA_WRITE" not in os.environ:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text(TEXT)
    if "SKIP_DATA_SERVE" in os.environ:
        sys.exit(0)
    httpd.Server(answer).run()
