"""Takes spans and says 200, as cheaply as can be: the far end of `bench.observability`.

`python -m bench.span_collector PORT`.
"""

from __future__ import annotations

import asyncio
import sys


async def _take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # whoever looks whether the port is open says nothing
    finally:
        writer.close()


async def _serve(port: int) -> None:
    server = await asyncio.start_server(_take, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
