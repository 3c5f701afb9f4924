"""The container beside the one that serves: says `Yay!! multi-container works` on $PORT (8882)."""

import os

from examples import httpd

TEXT = "Yay!! multi-container works"


def answer(_request: httpd.Request) -> httpd.Reply:
    """Answer every request alike."""
    return httpd.Reply(200, (TEXT + "\n").encode())


if __name__ == "__main__":
    os.environ.setdefault("PORT", "8882")
    os.environ.setdefault("HOST", "127.0.0.1")
    httpd.Server(answer).run()
