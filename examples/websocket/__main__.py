"""Echo every WebSocket message: `python -m examples.websocket`."""

import os

from examples import httpd
from examples.websocket import frames

REVISION = os.environ.get("K_REVISION", "no revision")


def answer(request: httpd.Request) -> httpd.Reply:
    """Turn a WebSocket handshake into an echo; tell everybody else what this is."""
    key = request.headers.get("sec-websocket-key", "")
    if request.headers.get("upgrade", "").lower() != "websocket" or not key:
        return httpd.Reply(200, f"a WebSocket echo ({REVISION}); connect with ws://\n".encode())
    headers = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", frames.accept_key(key)),
    )
    return httpd.Reply(101, headers=headers, take_over=echo)


def echo(stream: httpd.Stream) -> None:
    """Send back every data frame as it came, answer pings, and end with the client's close frame."""
    while True:
        frame = frames.read_frame(stream.read_exactly)
        if frame.opcode == frames.PING:
            stream.write(frames.write_frame(frames.Frame(True, frames.PONG, frame.payload)))
        elif frame.opcode == frames.CLOSE:
            stream.write(frames.write_frame(frame))
            return
        elif frame.opcode != frames.PONG:
            stream.write(frames.write_frame(frame))


if __name__ == "__main__":
    httpd.Server(answer).run()
