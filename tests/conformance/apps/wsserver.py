"""Echoes WebSocket messages, with $SUFFIX behind each; `?delay=S` waits before every echo.

On SIGTERM every connection gets a close frame that says `bye`. A plain GET is told what this is.
"""

import asyncio
import http
import os
import signal
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

SUFFIX = os.environ.get("SUFFIX", "")
NORMAL = 1000


async def echo(connection: ServerConnection) -> None:
    """Send back what comes, until the client or this program ends."""
    query = parse_qs(urlsplit(connection.request.path).query) if connection.request else {}
    delay_s = float(query.get("delay", ["0"])[0])
    async for message in connection:
        await asyncio.sleep(delay_s)
        text = message if isinstance(message, str) else message.decode()
        await connection.send(f"{text} {SUFFIX}" if SUFFIX else text)


def plain(connection: ServerConnection, request: Request) -> Response | None:
    """Answer who asks for no WebSocket."""
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return None
    return connection.respond(http.HTTPStatus.OK, "a WebSocket echo\n")


async def main() -> None:
    """Serve until SIGTERM, then say `bye`."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    where = os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8080"))
    async with serve(echo, *where, process_request=plain) as server:
        await stop.wait()
        server.close(code=NORMAL, reason="bye")
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
