"""The adapter's director before two scripted ports: which one a request reaches, what waits, what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runtimes.repository.swap_plan import SwapLimits
from runtimes.triton import pipeline, process
from runtimes.triton.config import Config
from runtimes.triton.layout import Layout
from runtimes.triton.repository_api import LoadFailed
from runtimes.triton.residency import Residency
from tests.support.wire import Peer, ScriptedUpstream
from tidegate.wire.pool import Pool
from tidegate.wire.server import Server

grpc = pytest.importorskip("grpc", reason="pip install 'tidegate[runtimes]'")
pb: Any = pytest.importorskip("tritonclient.grpc.service_pb2", reason="pip install 'tritonclient[grpc]'")
SERVICE = "/inference.GRPCInferenceService/"
KEY = "sesame"


@dataclass
class World:
    """An adapter without a Triton: what its ports would have got."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    calls: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    refreshed: int = 0
    has_refreshed: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, target: str, body: bytes | None = None, more: str = "") -> tuple[int, Any]:
        peer = await Peer.connect(self.port)
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        peer.send(f"{'GET' if body is None else 'POST'} {target} HTTP/1.1\r\nHost: a\r\n{length}{more}\r\n".encode())
        peer.send(body or b"")
        answer = await peer.answer()
        peer.close()
        return answer.status, json.loads(answer.body) if answer.header("content-type") == "application/json" else None

    async def call(self, method: str, message: Any) -> bytes:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            answer: bytes = await channel.unary_unary(SERVICE + method)(message.SerializeToString(), timeout=30)
            return answer


class Calls(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every call with its own bytes, as Triton's gRPC port."""

    def __init__(self, world: World) -> None:
        self.world = world

    def service(self, details: Any) -> Any:
        async def answer(message: bytes, _context: Any) -> bytes:
            self.world.calls.append((details.method, message, dict(details.invocation_metadata)))
            return message

        return grpc.unary_unary_rpc_method_handler(answer)


@asynccontextmanager
async def adapter(tmp_path: Path, **settings: Any) -> AsyncIterator[World]:
    world = World()

    async def rest(peer: Peer) -> None:
        while True:
            head = await peer.head()
            world.heads.append(head)
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or 0)
            await peer.exactly(length)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def load(name: str) -> None:
        world.loads.append(name)
        await asyncio.sleep(0)
        if name == "broken":
            raise LoadFailed("it is broken: 100 % é")

    async def refresh() -> None:
        world.refreshed += 1
        world.has_refreshed.set()

    for name in ("a", "b", "broken"):
        (tmp_path / "models" / name / "1").mkdir(parents=True)
        (tmp_path / "models" / name / "1" / "model.py").touch()
    config = Config(model_repository=str(tmp_path / "models"), **{"model_control": "on-demand", **settings})
    layout = Layout(tmp_path / "models", tmp_path / "made", ["python"], is_repository=True)
    residency = Residency(load, load, SwapLimits(), asyncio.get_running_loop().time)
    upstream = ScriptedUpstream(rest)
    await upstream.start()
    calls = grpc.aio.server()
    calls.add_generic_rpc_handlers((Calls(world),))
    grpc_port = calls.add_insecure_port("127.0.0.1:0")
    await calls.start()
    triton: Any = type("Ports", (), {"http_port": upstream.port, "grpc_port": grpc_port, "key": KEY})
    pool = Pool()
    server = Server(pipeline.Pipeline(config, triton, layout, residency, upstream.port, refresh), pool)
    await server.start("127.0.0.1", 0)
    world.port = server.port
    try:
        yield world
    finally:
        await server.close()
        await pool.close()
        await calls.stop(0)
        await upstream.stop()


def infer(name: str) -> Any:
    return pb.ModelInferRequest(model_name=name, id="7", raw_input_contents=[b"x" * 70_000])


async def test_rest_and_grpc_share_a_port_and_wait_for_their_model_once(tmp_path: Path) -> None:
    async with adapter(tmp_path) as world:
        message = infer("a")
        answers = await asyncio.gather(
            world.call("ModelInfer", message), world.ask("/v2/models/a/infer", b"{}"), world.ask("/v2/models/a")
        )
        assert world.loads == ["a"]
        assert answers[0] == message.SerializeToString()  # untouched there and back
        assert [answer[0] for answer in answers[1:]] == [200, 200]
        await world.call("ModelInfer", infer("b"))
        assert world.loads == ["a", "b"]


@pytest.mark.parametrize(
    "target",
    ["/v2", "/v2/health/ready", "/v2/models/b/ready", "/v2/models/b/versions/1/stats", "/v2/models/none/infer", "/x"],
)
async def test_questions_load_nothing(tmp_path: Path, target: str) -> None:
    async with adapter(tmp_path) as world:
        assert (await world.ask(target))[0] == 200
        await world.call("ModelReady", pb.ModelReadyRequest(name="b"))
        await world.call("ModelInfer", infer("none"))
        assert world.loads == []
        assert world.heads[0].startswith(f"GET {target} ".encode())


async def test_only_on_demand_waits(tmp_path: Path) -> None:
    async with adapter(tmp_path, model_control="explicit") as world:
        await world.ask("/v2/models/a/infer", b"{}")
        await world.call("ModelInfer", infer("a"))
        assert world.loads == []


async def test_a_model_that_does_not_load_says_why_in_either_protocol(tmp_path: Path) -> None:
    async with adapter(tmp_path) as world:
        assert await world.ask("/v2/models/broken/infer", b"{}") == (503, {"error": "it is broken: 100 % é"})
        with pytest.raises(grpc.aio.AioRpcError) as found:
            await world.call("ModelInfer", infer("broken"))
        assert found.value.code() is grpc.StatusCode.UNAVAILABLE
        assert found.value.details() == "it is broken: 100 % é"


async def test_the_key_goes_with_the_repository_alone_and_never_from_a_client(tmp_path: Path) -> None:
    line = f"{process.KEY_HEADER}: {KEY}\r\n".encode()
    async with adapter(tmp_path, model_control="explicit") as world:
        for target, has_key in (("/v2/repository/index", True), ("/v2/systemsharedmemory/status", False)):
            await world.ask(target, b"", f"{process.KEY_HEADER}: guessed\r\n")
            assert (line in world.heads[-1]) == has_key
            assert b"guessed" not in world.heads[-1]
        await world.call("RepositoryIndex", pb.RepositoryIndexRequest())
        await world.call("SystemSharedMemoryStatus", pb.SystemSharedMemoryStatusRequest())
        assert [call[2].get(process.GRPC_KEY_HEADER) for call in world.calls] == [KEY, None]


LOAD = "/v2/repository/models/a/load"


@pytest.mark.parametrize("early", [b"", b"{}"])
async def test_a_load_whose_body_comes_late_is_refused_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: bytes
) -> None:
    """Else its files would come when nobody looks any more."""
    monkeypatch.setattr(pipeline, "LOOK_TIMEOUT_S", 0.05)
    async with adapter(tmp_path, model_control="explicit") as world:
        peer = await Peer.connect(world.port)
        head = f"POST {LOAD} HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n"
        peer.send(head.encode() + early)
        status = (await peer.answer()).status
        peer.close()
        assert status == 408
        assert world.heads == []


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        (b"", "", 200),
        (b"{}", "", 200),
        (b'{"parameters": {}}', "", 200),
        (b'{"parameters": {"config": "{}"}}', "", 400),
        (b'{"parameters": {"file:1/model.py": "eA=="}}', "", 400),
        (b'{"parameters": {"config": "{}"}, "parameters": {}}', "", 400),
        (b'{"parameters": {}, "parameters": {"config": "{}"}}', "", 400),
        (b'{"other": 1}', "", 400),
        (b"[" * 10_000, "", 400),
        (b"no json", "", 400),
        (b" " * (40 << 10), "", 400),
        (b"{}", "Content-Encoding: gzip\r\n", 400),
        (b"{}", "Expect: 100-continue\r\n", 400),
    ],
)
async def test_loads_by_clients_pass_when_they_bring_nothing(
    tmp_path: Path, body: bytes, more: str, status: int
) -> None:
    async with adapter(tmp_path, model_control="explicit") as world:
        found, document = await world.ask(LOAD, body, more)
        assert found == status, document
        assert len(world.heads) == (status == 200)
        if status == 200:  # it follows the answer
            async with asyncio.timeout(30):
                await world.has_refreshed.wait()
        assert world.refreshed == (status == 200)
    async with adapter(tmp_path / "open", allow_upload=True) as world:
        if not more:
            assert (await world.ask(LOAD, body))[0] == 200


async def test_loads_by_grpc_too(tmp_path: Path) -> None:
    load = pb.RepositoryModelLoadRequest(model_name="a")
    async with adapter(tmp_path, model_control="explicit") as world:
        await world.call("RepositoryModelLoad", load)
        await world.call("RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name="a"))
        for size in (10, 100_000):
            load.parameters["file:1/model.py"].bytes_param = b"x" * size
            with pytest.raises(grpc.aio.AioRpcError) as found:
                await world.call("RepositoryModelLoad", load)
            assert found.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "allow-upload" in str(found.value.details())
        assert [call[0].rpartition("/")[2] for call in world.calls] == ["RepositoryModelLoad", "RepositoryModelUnload"]


async def test_bodies_have_a_limit(tmp_path: Path) -> None:
    async with adapter(tmp_path, body_limit_mib=1) as world:
        peer = await Peer.connect(world.port)
        peer.send(b"POST /v2/models/a/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n")
        assert (await peer.answer()).status == 413
        peer.close()


# --- attacks ---


@pytest.mark.parametrize("name", ["../models/a", "/etc", "..", "", "a/../b", "none"])
async def test_only_models_of_the_repository_are_loaded_by_clients(tmp_path: Path, name: str) -> None:
    """Triton takes a name for a path below its repository."""
    async with adapter(tmp_path, model_control="explicit") as world:
        with pytest.raises(grpc.aio.AioRpcError) as found:
            await world.call("RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name=name))
        assert found.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert world.calls == []
        escaped = "".join(f"%{byte:02x}" for byte in name.encode())
        assert (await world.ask(f"/v2/repository/models/{escaped}/load", b""))[0] == 400
        assert world.heads == []
