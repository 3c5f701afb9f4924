"""Listens at once and is ready (`/healthz`) once somebody has asked for `/open`: pods get ready one by one."""

import threading

from examples import httpd

_open = threading.Event()


def answer(request: httpd.Request) -> httpd.Reply:
    """Answer probes by the gate, and everybody else with 200."""
    if request.path == "/open":
        _open.set()
    if request.path == "/healthz" and not _open.is_set():
        return httpd.Reply(503, b"not yet\n")
    return httpd.Reply(200, b"ok\n")


if __name__ == "__main__":
    httpd.Server(answer).run()
