"""Tells as JSON what it sees of the request and of the place it runs in: files, variables, user, standard input.

`/healthz` is for the kubelet alone: it answers 400 to everybody else. With $HTTP2 it speaks HTTP/2 in clear text too.
"""

from __future__ import annotations

import json
import os
import select
import stat
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from examples import httpd

STDIN_WAIT_S = 1.0
STDIN: dict[str, Any] = {}


def answer(request: httpd.Request, protocol: str) -> httpd.Reply:
    """Answer with everything; `?file=PATH` (several times) asks for files, `?content=PATH` for what they contain."""
    if request.path == "/healthz" and not request.headers.get("user-agent", "").startswith("kube-probe"):
        return httpd.Reply(400, b"only for probes\n")
    wanted = parse_qs(request.query)
    host = _host(wanted.get("file", [])) | {"contents": {name: _content(name) for name in wanted.get("content", [])}}
    document = {"request": _request(request, protocol), "host": host}
    return httpd.Reply(200, json.dumps(document).encode(), "application/json")


def _request(request: httpd.Request, protocol: str) -> dict[str, Any]:
    return {
        "ts": time.time(),
        "method": request.method,
        "uri": request.path,
        "host": request.headers.get("host", ""),
        "headers": request.headers,
        "protocol": protocol,
    }


def _host(files: list[str]) -> dict[str, Any]:
    return {
        "files": {name: _file(Path(name)) for name in files},
        "envVars": dict(os.environ),
        "user": {"uid": os.getuid(), "euid": os.geteuid(), "gid": os.getgid(), "groups": os.getgroups()},
        "cwd": str(Path.cwd()),
        "mounts": Path("/proc/self/mounts").read_text().splitlines(),
        "cgroups": Path("/proc/self/cgroup").read_text().splitlines(),
        "stdin": STDIN,
        "args": sys.argv[1:],
    }


def _content(name: str) -> str | None:
    try:
        return Path(name).read_text().strip()
    except OSError:
        return None


def _file(path: Path) -> dict[str, Any]:
    try:
        status = path.lstat()
        return {
            "mode": stat.filemode(status.st_mode),
            "target": str(path.readlink()) if path.is_symlink() else "",
            "is_folder": path.is_dir(),
            "is_writable": os.access(path, os.W_OK),
        }
    except OSError as error:
        return {"error": str(error)}


def _stdin() -> dict[str, Any]:
    try:
        readable, _, _ = select.select([sys.stdin], [], [], STDIN_WAIT_S)
        return {"eof": bool(readable) and os.read(sys.stdin.fileno(), 1) == b""}
    except (OSError, ValueError) as error:
        return {"error": str(error)}


if __name__ == "__main__":
    STDIN.update(_stdin())
    if os.environ.get("HTTP2"):
        from tests.conformance.apps import http2  # needs more than the standard library

        http2.server(answer).run()
    httpd.Server(lambda request: answer(request, "HTTP/1.1")).run()
