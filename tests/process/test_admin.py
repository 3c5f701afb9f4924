"""The admin port over real sockets."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.process.admin import AdminServer, Page, json_page


@pytest.fixture
async def served():
    state = {"ready": True}
    admin = AdminServer(is_ready=lambda: state["ready"], config={"workers": 1})
    admin.page("/decisions", lambda path, query: json_page({"path": path, "query": query}))

    async def waits(path: str, query: dict[str, str]) -> Page:
        await asyncio.sleep(0)
        return Page(200, b"waited")

    admin.page("/slow", waits)
    admin.page("/broken", lambda path, query: 1 / 0)
    port = await admin.start("127.0.0.1", 0)
    yield port, state
    await admin.close()


async def exchange(port: int, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("target", "status", "part"),
    [
        ("/healthz", 200, b"ok"),
        ("/readyz", 200, b"ok"),
        ("/config", 200, b'{"workers":1}'),
        ("/metrics", 200, b"python_info"),
        ("/decisions/default/hello?since=5", 200, b'{"path":"default/hello","query":{"since":"5"}}'),
        ("/slow", 200, b"waited"),
        ("/broken", 500, b"log has the reason"),
        ("/nothing", 404, b"pages: "),
    ],
)
async def test_pages(served, target, status, part):
    port, _ = served
    answer = await exchange(port, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert part in answer


async def test_not_ready_says_why(served):
    port, state = served
    state["ready"] = "caches are not synced"
    answer = await exchange(port, b"GET /readyz HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503 ") and b"caches are not synced" in answer


@pytest.mark.parametrize("raw", [b"nonsense\r\n\r\n", b"POST /healthz HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 70_000])
async def test_hostile_requests_are_refused_or_dropped(served, raw):
    port, _ = served
    try:
        answer = await exchange(port, raw)
    except ConnectionError:
        answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 405 ")
    assert b"ok" in await exchange(port, b"GET /healthz HTTP/1.1\r\n\r\n"), "and the port lives on"


async def test_head_has_no_body(served):
    port, _ = served
    answer = await exchange(port, b"HEAD /healthz HTTP/1.1\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n") and b"Content-Length: 3" in answer
