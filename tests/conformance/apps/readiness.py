"""Becomes ready when it is told to, and fails when it is asked to.

$LISTEN_DELAY and $READY_DELAY are seconds before it listens and before it is ready. `/start-failing` makes the probes
fail, `/healthz/readiness` and `/healthz/liveness` answer them, `/healthz/livenessCounter` counts the latter,
`/query?probe=ok` is ready for that query alone. With $HEALTHCHECK_PORT a second server answers `/readiness` and
`/liveness` there. The argument `probe` makes it the command of an exec probe.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

from examples import httpd

PROBE_TIMEOUT_S = 1.0
BEGAN = time.monotonic()
_failing = threading.Event()
_asked = [0]


def answer(request: httpd.Request) -> httpd.Reply:
    """Answer people and probes."""
    path = request.path.removeprefix("/healthz")
    if path == "/start-failing":
        _failing.set()
    elif path == "/livenessCounter":
        return httpd.Reply(200, str(_asked[0]).encode())
    elif path == "/liveness":
        _asked[0] += 1
        return _verdict(not _failing.is_set())
    elif path == "/readiness" or (path == "/" and request.headers.get("user-agent", "").startswith("kube-probe")):
        return _verdict(_is_ready())
    elif path == "/query":
        return _verdict(request.query == "probe=ok")
    return httpd.Reply(200, b"Hello World! How about some tasty noodles?\n")


def _is_ready() -> bool:
    return not _failing.is_set() and time.monotonic() - BEGAN >= float(os.environ.get("READY_DELAY", "0"))


def _verdict(is_well: bool) -> httpd.Reply:
    return httpd.Reply(200, b"ok\n") if is_well else httpd.Reply(500, b"not well\n")


def _probe() -> int:
    """Ask the server that runs beside this process; 0 when it is ready."""
    where = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080"))
    try:
        with socket.create_connection(where, PROBE_TIMEOUT_S) as connection:
            connection.sendall(b"GET /healthz/readiness HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            return 0 if connection.recv(64).startswith(b"HTTP/1.1 200") else 1
    except OSError:
        return 1


def _beside(port: int) -> None:
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        connection, _ = listener.accept()
        with connection:
            stream = httpd.Stream(connection)
            connection.settimeout(PROBE_TIMEOUT_S)
            try:
                stream.write(httpd.encode(answer(httpd.read_head(stream)), is_last=True))
            except (OSError, httpd.BadRequest, ValueError):
                continue


if __name__ == "__main__":
    if sys.argv[1:] == ["probe"]:
        sys.exit(_probe())
    time.sleep(float(os.environ.get("LISTEN_DELAY", "0")))
    if health_port := os.environ.get("HEALTHCHECK_PORT"):
        threading.Thread(target=_beside, args=(int(health_port),), daemon=True).start()
    httpd.Server(answer).run()
