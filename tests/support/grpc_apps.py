"""A gRPC app and its client without generated code: payloads are bytes as they are."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator

import grpc
import grpc.aio

PATIENCE_S = 30.0
UNBOUNDED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class GrpcApp:
    """Echoes in every shape of call; `began` and `cancelled` tell of each call of Hang, by its request."""

    def __init__(self) -> None:
        self.port = 0
        self.began: defaultdict[bytes, asyncio.Event] = defaultdict(asyncio.Event)
        self.cancelled: defaultdict[bytes, asyncio.Event] = defaultdict(asyncio.Event)
        self.metadata: list[dict[str, str]] = []

    async def _unary(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        self.metadata.append({str(key): str(value) for key, value in context.invocation_metadata() or ()})
        context.set_trailing_metadata((("x-after", "done"),))
        return request

    async def _fail(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")
        return b""

    async def _count(self, request: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    async def _sum(self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> bytes:
        return b"%d" % sum([len(request) async for request in requests])

    async def _echo(self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def _hang(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        self.began[request].set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled[request].set()
            raise
        return b""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[GrpcApp]:
        server = grpc.aio.server(options=UNBOUNDED)
        handlers = {
            "Unary": grpc.unary_unary_rpc_method_handler(self._unary),
            "Fail": grpc.unary_unary_rpc_method_handler(self._fail),
            "Hang": grpc.unary_unary_rpc_method_handler(self._hang),
            "Count": grpc.unary_stream_rpc_method_handler(self._count),
            "Sum": grpc.stream_unary_rpc_method_handler(self._sum),
            "Echo": grpc.stream_stream_rpc_method_handler(self._echo),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
        self.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield self
        finally:
            await server.stop(None)


@contextlib.asynccontextmanager
async def channel(port: int, authority: str = "") -> AsyncIterator[grpc.aio.Channel]:
    """Give a channel to 127.0.0.1 whose calls name `authority`."""
    options = [*UNBOUNDED, ("grpc.use_local_subchannel_pool", 1)]
    if authority:
        options.append(("grpc.default_authority", authority))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as opened:
        yield opened


async def check_every_shape(app: GrpcApp, calls: grpc.aio.Channel) -> None:
    """Make one call of each shape, with status, trailers, a large message, a deadline and a cancellation."""
    unary = calls.unary_unary("/test.Echo/Unary")
    call = unary(b"hello", metadata=(("x-before", "here"),))
    assert await call == b"hello"
    assert ("x-after", "done") in [tuple(pair) for pair in await call.trailing_metadata()]
    assert app.metadata[-1]["x-before"] == "here"
    large = bytes(8 << 20)
    assert await unary(large) == large
    assert [int(number) async for number in calls.unary_stream("/test.Echo/Count")(b"500")] == list(range(500))

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield bytes(10_000)

    assert await calls.stream_unary("/test.Echo/Sum")(pieces()) == b"500000"
    talk = calls.stream_stream("/test.Echo/Echo")()
    for number in range(20):
        await talk.write(b"%d" % number)
        assert await talk.read() == b"%d" % number
    await talk.done_writing()
    assert await talk.read() is grpc.aio.EOF
    assert await talk.code() is grpc.StatusCode.OK
    assert await _code(calls.unary_unary("/test.Echo/Fail")(b"")) is grpc.StatusCode.NOT_FOUND
    hang = calls.unary_unary("/test.Echo/Hang")
    assert await _code(hang(b"late", timeout=0.2)) is grpc.StatusCode.DEADLINE_EXCEEDED
    if app.began[b"late"].is_set():  # on a machine that stood still it is over before it got there
        await asyncio.wait_for(app.cancelled[b"late"].wait(), PATIENCE_S)
    held = hang(b"left")
    await asyncio.wait_for(app.began[b"left"].wait(), PATIENCE_S)
    held.cancel()
    await asyncio.wait_for(app.cancelled[b"left"].wait(), PATIENCE_S)
    results = await asyncio.gather(*[unary(b"%d" % number) for number in range(300)])
    assert results == [b"%d" % number for number in range(300)]


async def _code(call: grpc.aio.Call) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError:
        pass
    return await call.code()


class HealthApp:
    """grpc.health.v1.Health by hand: SERVING or not, or the service is not known; remembers what was asked."""

    def __init__(self) -> None:
        self.is_serving = True
        self.is_unknown = False
        self.asked: list[bytes] = []

    async def _check(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        self.asked.append(request)
        if self.is_unknown:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return b"\x08\x01" if self.is_serving else b"\x08\x02"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = grpc.aio.server()
        check = {"Check": grpc.unary_unary_rpc_method_handler(self._check)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", check),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield port
        finally:
            await server.stop(None)
