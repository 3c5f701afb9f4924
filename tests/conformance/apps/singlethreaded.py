"""Serves one request at a time, each for half a second; a second one meanwhile gets 500."""

import threading
import time

from examples import httpd

WORK_S = 0.5
_busy = threading.Lock()


def answer(request: httpd.Request) -> httpd.Reply:
    """Work alone, or say that it was not alone."""
    if request.method == "PRI":
        return httpd.Reply(400)  # the question whether this program speaks HTTP/2 is no request
    if not _busy.acquire(blocking=False):
        return httpd.Reply(500, b"Concurrent requests\n")
    try:
        time.sleep(WORK_S)
    finally:
        _busy.release()
    return httpd.Reply(200, b"One at a time\n")


if __name__ == "__main__":
    httpd.Server(answer).run()
