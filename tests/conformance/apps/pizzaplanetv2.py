"""Says: `Re-energize yourself with a slice of pepperoni!`."""

from examples import httpd

TEXT = "Re-energize yourself with a slice of pepperoni!"


def answer(_request: httpd.Request) -> httpd.Reply:
    """Answer every request alike."""
    return httpd.Reply(200, (TEXT + "\n").encode())


if __name__ == "__main__":
    httpd.Server(answer).run()
