"""Greets: `Hello World! How about some tasty noodles?`, or what $TARGET says."""

import os

from examples import httpd

TEXT = os.environ.get("TARGET", "Hello World! How about some tasty noodles?")


def answer(_request: httpd.Request) -> httpd.Reply:
    """Answer every request alike."""
    return httpd.Reply(200, (TEXT + "\n").encode())


if __name__ == "__main__":
    httpd.Server(answer).run()
