"""One gateway follows another on the same address of the host: no connection meets a closed door, or is cut unasked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from gateway import handover
from gateway.__main__ import serve
from gateway.config import Config
from loadtest import load
from tests.support.fake_api import FakeApi
from tests.support.hops import App, free_port, listening, running
from tests.support.serving import put_autoscaler, put_pods, put_route

HOST = "hello.default.localhost"


@contextlib.contextmanager
def listeners(count: int) -> Iterator[list[socket.socket]]:
    """Listeners that share one port, in the order in which they began."""
    with contextlib.ExitStack() as stack:
        made: list[socket.socket] = []
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(made[0].getsockname() if made else ("127.0.0.1", 0))
            one.listen(100)
            one.setblocking(False)
            made.append(one)
        yield made


def taken(listener: socket.socket) -> int:
    """Accept what waits, and return how many it was."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            count += 1
    return count


def connect(to: socket.socket, times: int) -> None:
    for _ in range(times):
        socket.create_connection(to.getsockname(), 5).close()


@pytest.mark.parametrize(
    ("old", "new"), [(1, 1), (2, 2), (2, 1), (1, 2)], ids=["one by one", "two by two", "fewer", "more"]
)
def test_new_connections_go_to_listeners_that_joined_later(old: int, new: int) -> None:
    with listeners(old + new) as all_of_them:
        leaving, staying = all_of_them[:old], all_of_them[old:]
        for one in leaving:
            assert handover.leave_to_later(one.fileno(), old)
        connect(leaving[0], 60)
        counts = [taken(one) for one in staying]
        if old <= new:  # otherwise some numbers are nobody's, and the kernel spreads those over all
            assert sum(counts) == 60
        assert all(counts[:old])


@pytest.mark.parametrize(("old", "new"), [(1, 4), (2, 3), (1, 2)])
def test_after_the_old_ones_all_of_the_new_ones_get_connections(old: int, new: int) -> None:
    with listeners(old + new) as all_of_them:
        for one in all_of_them[:old]:
            assert handover.leave_to_later(one.fileno(), old)
        for one in all_of_them[1:old]:
            one.close()
        handover.spread_again(all_of_them[0].fileno())
        all_of_them[0].close()
        connect(all_of_them[-1], 120)
        counts = [taken(one) for one in all_of_them[old:]]
    assert sum(counts) == 120
    assert all(counts), counts


def test_where_there_is_nothing_to_take_off_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with listeners(1) as [alone]:
        handover.spread_again(alone.fileno())
        assert not caplog.text
        assert handover.leave_to_later(alone.fileno(), 1)
        handover.spread_again(alone.fileno())
        handover.spread_again(alone.fileno())
    assert not caplog.text


def test_neither_leaves_a_descriptor_open_or_fails_on_one_that_is_closed() -> None:
    with listeners(1) as [alone]:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            handover.leave_to_later(alone.fileno(), 1)
            handover.spread_again(alone.fileno())
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        closed = os.dup(alone.fileno())
        os.close(closed)
        assert not handover.leave_to_later(closed, 1)
        handover.spread_again(closed)


def test_who_is_alone_keeps_its_connections() -> None:
    with listeners(1) as [alone]:
        assert handover.leave_to_later(alone.fileno(), 1)
        connect(alone, 5)
        assert taken(alone) == 5


def test_where_the_kernel_refuses_it_says_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as unshared:
        unshared.bind(("127.0.0.1", 0))
        unshared.listen()
        assert not handover.leave_to_later(unshared.fileno(), 1)
    assert "cannot be left to the next gateway" in caplog.text


async def test_a_gateway_that_ends_leaves_its_address_to_the_next_without_one_failed_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taking_off = Mock(wraps=handover.spread_again)
    monkeypatch.setattr(handover, "spread_again", taking_off)
    port = free_port()
    replies: list[load.Reply] = []
    ended = asyncio.Event()

    async def ask(*, again: bool) -> None:
        """Send requests one after the other, on one connection, or each on a new one."""
        connection = load.Connection("127.0.0.1", port)
        while not ended.is_set():
            replies.append(await connection.request(HOST))
            if again:
                await connection.close()
        await connection.close()

    async with App().running() as app, contextlib.AsyncExitStack() as stack:
        api = FakeApi()
        put_route(api, "hello", [{"revisionName": "a", "percent": 100}])
        put_autoscaler(api, "a", "Serve")
        put_pods(api, "a", [("127.0.0.1", True)], port=app.port)

        async def start() -> asyncio.Event:
            admin = free_port()
            config = Config(listen=f"127.0.0.1:{port}", admin_port=admin, metrics_port=free_port(), drain_quiet_s=0.1)
            hop = await stack.enter_async_context(running(lambda stopping: serve(config, api, stopping), admin))
            while (await load.get(admin, "admin", "/readyz")).status != 200:
                await asyncio.sleep(0.01)
            tasks.append(hop.task)
            return hop.stopping

        tasks: list[asyncio.Task[None]] = []
        stopping = await start()
        await listening(port)
        clients = [asyncio.ensure_future(ask(again=number % 2 == 0)) for number in range(6)]
        for _ in range(3):
            following = await start()
            before = len(replies)
            stopping.set()
            await tasks.pop(0)
            while len(replies) < before + 20:
                await asyncio.sleep(0.01)
            stopping = following
        ended.set()
        await asyncio.gather(*clients)
    assert {reply.status for reply in replies} == {200}, [one for one in replies if one.status != 200][:3]
    assert taking_off.call_count == 4, "each that ended left the port as it would have found it"
    last_ones = sum(reply.headers.get("connection") == "close" for reply in replies)
    assert last_ones >= 9, "each of three busy connections was told three times that its answer is the last"
