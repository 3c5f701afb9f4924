"""gRPC `ping.PingService`: `Ping` answers one message, `PingStream` each of a stream, with $SUFFIX appended.

Messages are bytes as they are. `$DELAY` seconds pass before an answer to `Ping`; with $HOSTNAME_SUFFIX an answer ends
with the name of the pod instead.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent import futures

import grpc

THREADS = 64
DRAIN_TIMEOUT_S = 20.0
DELAY_S = float(os.environ.get("DELAY", "0"))
SUFFIX = (os.environ.get("HOSTNAME", "") if "HOSTNAME_SUFFIX" in os.environ else os.environ.get("SUFFIX", "")).encode()


def ping(request: bytes, _context: grpc.ServicerContext) -> bytes:
    """Answer one message."""
    time.sleep(DELAY_S)
    return request + SUFFIX


def ping_stream(requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
    """Answer each message at once."""
    return (request + SUFFIX for request in requests)


def main() -> None:
    """Serve until SIGTERM."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    server = grpc.server(futures.ThreadPoolExecutor(THREADS))
    handlers = {
        "Ping": grpc.unary_unary_rpc_method_handler(ping),
        "PingStream": grpc.stream_stream_rpc_method_handler(ping_stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("ping.PingService", handlers),))
    server.add_insecure_port(f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8080')}")
    server.start()
    stopping.wait()
    server.stop(DRAIN_TIMEOUT_S).wait()


if __name__ == "__main__":
    main()
