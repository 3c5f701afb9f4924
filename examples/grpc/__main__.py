"""gRPC in all four shapes: `python -m examples.grpc`.

Messages are bytes as they are, so nothing has to be generated: `/example.Echo/Unary` gives the message back, `Count`
counts up to it, `Sum` adds the lengths of what it gets, `Talk` answers each message at once. Health by
`grpc.health.v1.Health/Check`, for readiness probes.
"""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent import futures

import grpc

SERVING = b"\x08\x01"  # HealthCheckResponse with status 1
DRAIN_TIMEOUT_S = 20.0
THREADS = 32


def unary(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Give the message back, and trailing metadata."""
    context.set_trailing_metadata((("example-bytes", str(len(request))),))
    if request == b"fail":
        context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")
    return request


def count(request: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
    """Count up to the message."""
    return (b"%d" % number for number in range(int(request)))


def total(requests: Iterator[bytes], _context: grpc.ServicerContext) -> bytes:
    """Add the lengths."""
    return b"%d" % sum(map(len, requests))


def talk(requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
    """Answer each message at once."""
    return (request for request in requests)


def server(address: str) -> grpc.Server:
    """Return a server that listens on `address`, not yet started."""
    made = grpc.server(futures.ThreadPoolExecutor(THREADS), options=[("grpc.max_receive_message_length", -1)])
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Count": grpc.unary_stream_rpc_method_handler(count),
        "Sum": grpc.stream_unary_rpc_method_handler(total),
        "Talk": grpc.stream_stream_rpc_method_handler(talk),
    }
    health = {"Check": grpc.unary_unary_rpc_method_handler(lambda _request, _context: SERVING)}
    made.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("example.Echo", handlers),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),
        )
    )
    made.add_insecure_port(address)
    return made


def main() -> None:
    """Serve until SIGTERM."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    running = server(f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8080')}")
    running.start()
    stopping.wait()
    running.stop(DRAIN_TIMEOUT_S).wait()


if __name__ == "__main__":
    main()
