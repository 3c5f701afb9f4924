"""Graphs against steps and callers that mean harm: bad headers, answers too deep, too many, too large; own bodies."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from runtimes.graph import bandit, seldon
from runtimes.graph.__main__ import Config, Process
from runtimes.graph.counts import Counts
from runtimes.graph.router import Router
from runtimes.graph.upstream import SHADOWS_BYTES, Upstream
from runtimes.graph.walk import Answered, Walk
from runtimes.http.messages import Reply, Request
from tidegate.contracts import inference_graph
from tidegate.contracts.inference_graph import Step

DEEP = b"[" * 100_000 + b"]" * 100_000
JUST_TOO_DEEP = [b"[" * depth + b"]" * depth for depth in range(880, 1000)]
GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def answers(*bodies: bytes, kind: str, **more: Any) -> tuple[Walk, list[Mapping[bytes, bytes]]]:
    """Return a graph of one node whose steps answer these bodies, and the headers that they are asked with."""
    asked: list[Mapping[bytes, bytes]] = []
    steps = [{"serviceUrl": f"http://{at}/", "name": str(at), "data": "$response"} for at in range(len(bodies))]
    nodes = {"root": {"routerType": kind, "steps": steps, **more}}
    assert inference_graph.validate(nodes) == []

    async def ask(node: str, step: Step, url: str, body: bytes, headers: Mapping[bytes, bytes]) -> Answered:
        asked.append(headers)
        return Answered(200, bodies[int(step.name)] if step.name.isdigit() else body, b"text/x-%b" % step.name.encode())

    return Walk(inference_graph.read(nodes), ask), asked


@pytest.mark.parametrize("kind", ["Ensemble", "Combiner"])
@pytest.mark.parametrize("bodies", [[DEEP], JUST_TOO_DEEP], ids=["deep", "at the edge"])
async def test_answers_that_are_too_deep_to_merge_are_a_bad_gateway(kind: str, bodies: list[bytes]) -> None:
    more = {"serviceUrl": "http://mean/"} if kind == "Combiner" else {}
    found = set()
    for body in bodies:
        walk, _ = answers(body, b"1", kind=kind, **more)
        found.add((await walk.answer(b"{}", {})).status)
    assert 502 in found and found <= {200, 502}


@pytest.mark.parametrize(
    "said", ["NaN", "Infinity", "-Infinity", "1.5", "true", "[]", '"1"', '{"data": {"tensor": 5}}']
)
def test_a_router_that_names_no_number_is_told_from_one_that_does(said: str) -> None:
    with pytest.raises(seldon.NoBranchError):
        seldon.branch_of(json.loads(said), 2)


async def test_a_step_is_told_the_content_type_of_the_body_that_it_gets() -> None:
    walk, asked = answers(b"1", b"2", kind="Sequence")
    await walk.answer(b"x", {b"content-type": b"image/png", b"x-a": b"b"})
    assert [each[b"content-type"] for each in asked] == [b"image/png", b"text/x-0"]
    walk, asked = answers(b"1", b"2", kind="Combiner", serviceUrl="http://mean/")
    await walk.answer(b"x", {b"content-type": b"image/png"})
    assert [each[b"content-type"] for each in asked] == [b"image/png", b"image/png", b"application/json"]


@contextlib.asynccontextmanager
async def service(reply: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers everything with these bytes; yields its URL and what it was asked."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(reply)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", got
    server.close()


@contextlib.asynccontextmanager
async def router(url: str, **more: Any) -> AsyncIterator[int]:
    nodes = {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": url}]}}
    process = Process(Config(port=0, graph=json.dumps(nodes), drain_s=0.1, **more))
    await process.start()
    yield process.port
    await process.close()


async def call(port: int, *headers: bytes) -> bytes:
    """Return the whole answer to a POST with these header lines."""
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = b"".join(line + b"\r\n" for line in headers)
        writer.write(b"POST / HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: 2\r\n" + lines + b"\r\n{}")
        answer = await reader.read()
        writer.close()
        return answer


HEADERS = [b"X-Request-Id: a\rX-Evil: b", b"Traceparent: \xff\xfe", b"Baggage: k\x01v", b"Content-Type: a/b\rX-Evil: 1"]


@pytest.mark.parametrize("line", HEADERS)
async def test_a_callers_headers_become_no_lines_of_their_own(line: bytes) -> None:
    async with service(GOOD) as (url, got), router(url) as port:
        answer = await call(port, line)
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400", b"HTTP/1.1 503"))
    for text in (answer, *got):
        assert b"\nx-evil" not in text.lower().replace(b"\r", b"\n")


TYPES = [b"a/b\rX-Evil: 1", b"a/b\x00c", b"a/\xff"]


@pytest.mark.parametrize("value", TYPES)
async def test_a_steps_content_type_becomes_no_line_of_its_own(value: bytes) -> None:
    async with service(GOOD.replace(b"application/json", value)) as (url, _), router(url) as port:
        answer = await call(port)
    head = answer.partition(b"\r\n\r\n")[0]
    assert b"\nx-evil" not in head.lower().replace(b"\r", b"\n") and b"\0" not in head


async def test_an_answer_beyond_the_limit_ends_the_step_and_one_below_it_comes_whole() -> None:
    for size, status in ((1 << 20, b"200"), ((1 << 20) + 1, b"502")):
        reply = GOOD[: -len(b"2\r\n\r\n{}")] + b"%d\r\n\r\n" % size + b"x" * size
        async with service(reply) as (url, _), router(url, body_limit_mib=1) as port:
            answer = await call(port)
        assert answer.split(b" ")[1] == status
        assert status == b"502" or answer.endswith(b"x" * size)


async def test_requests_that_come_in_one_moment_are_no_more_than_may_be_inside() -> None:
    gate, inside = asyncio.Event(), 0

    async def ask(*_: Any) -> Answered:
        nonlocal inside
        inside += 1
        await gate.wait()
        return Answered(200, b"{}")

    nodes = {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": "http://a/"}]}}
    router = Router(Walk(inference_graph.read(nodes), ask), 1 << 20, 3, Counts())
    asked = [router.handle(Request(b"POST", "/", "", {}, b"{}")) for _ in range(10)]
    tasks = [asyncio.ensure_future(each) for each in asked if not isinstance(each, Reply)]
    async with asyncio.timeout(30):
        while sum(task.done() for task in tasks) < 7:
            await asyncio.sleep(0)
    assert inside == 3
    assert {str(task.exception()) for task in tasks if task.done()} == {"3 requests are in this graph already"}
    gate.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [reply.status for reply in ended if isinstance(reply, Reply)] == [200, 200, 200]


async def test_copies_for_shadows_hold_no_more_than_their_bytes() -> None:
    counts = Counts()
    upstream = Upstream(10.0, 1 << 20, frozenset(), counts)
    body = bytes(SHADOWS_BYTES // 2)
    for _ in range(3):
        upstream.shadow("root", Step("far", url="http://127.0.0.1:1/"), body, {})
    assert b'inference_graph_shadows_dropped_total{node="root",step="far"} 1.0' in counts.render()
    await upstream.close()
    upstream = Upstream(10.0, 1 << 20, frozenset(), counts)
    for _ in range(3):
        upstream.shadow("root", Step("far", url="http://127.0.0.1:1/"), body, {})
        while upstream._shadows:
            await asyncio.sleep(0)
    assert b'inference_graph_shadows_dropped_total{node="root",step="far"} 1.0' in counts.render(), (
        "room was given back"
    )
    await upstream.close()


SHAPES: list[Any] = [
    [1], {"meta": []}, {"meta": {"routing": 5}}, {"meta": {"routing": {"r": None}}}, {"meta": {"routing": {"r": []}}},
]  # fmt: skip


@pytest.mark.parametrize("response", SHAPES)
def test_feedback_of_another_shape_says_what_to_write(response: Any) -> None:
    with pytest.raises(ValueError, match=r"write \{"):
        bandit.Thompson().send_feedback({"reward": 1, "response": response})
