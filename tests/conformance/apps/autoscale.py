"""Sleeps, computes or holds memory as the query asks: `?sleep=MS`, `?prime=N`, `?bloat=MIB`.

A request for more memory than there is fails with 500, and the program stays.
"""

from examples import httpd
from examples.autoscale.__main__ import answer


def bounded(request: httpd.Request) -> httpd.Reply:
    """Answer, or say that there is no memory for it."""
    try:
        return answer(request)
    except MemoryError:
        return httpd.Reply(500, b"there is not so much memory\n")


if __name__ == "__main__":
    httpd.Server(bounded).run()
