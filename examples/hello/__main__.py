"""Answer every request with a greeting to $TARGET and the revision's name: `python -m examples.hello`."""

import os

from examples import httpd

TARGET = os.environ.get("TARGET", "World")
REVISION = os.environ.get("K_REVISION", "no revision")


def answer(request: httpd.Request) -> httpd.Reply:
    """Greet; `/headers` shows what reached the app."""
    if request.path == "/headers":
        return httpd.Reply(200, "".join(f"{name}: {value}\n" for name, value in request.headers.items()).encode())
    return httpd.Reply(200, f"Hello {TARGET}! ({REVISION})\n".encode())


if __name__ == "__main__":
    httpd.Server(answer).run()
