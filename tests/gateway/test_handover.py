"""One gateway follows another on the same address of the host: no connection meets a closed door, or is cut unasked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator
from operator import lt
from unittest.mock import Mock

import pytest

import gateway.__main__ as gateway_main
from gateway import handover
from gateway.__main__ import serve
from gateway.config import Config
from loadtest import load
from tests.support import descriptors
from tests.support.fake_api import FakeApi
from tests.support.hops import App, free_port, listening, running
from tests.support.serving import put_autoscaler, put_pods, put_route
from tests.support.wire import PATIENCE_S

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


def taken(listeners_left: list[socket.socket], count: int) -> list[int]:
    """Accept so many connections, and return how many of them each listener had."""
    counts = dict.fromkeys(listeners_left, 0)
    until = time.monotonic() + 20  # a client may know of its connection before the listener does
    while sum(counts.values()) < count and time.monotonic() < until:
        for listener in select.select(listeners_left, [], [], 1)[0]:
            listener.accept()[0].close()
            counts[listener] += 1
    return list(counts.values())


def connect(to: socket.socket, times: int) -> None:
    for _ in range(times):
        socket.create_connection(to.getsockname(), 20).close()


@pytest.mark.parametrize(
    ("old", "new"), [(1, 1), (2, 2), (2, 1), (1, 2)], ids=["one by one", "two by two", "fewer", "more"]
)
def test_new_connections_go_to_listeners_that_joined_later(old: int, new: int) -> None:
    with listeners(old + new) as all_of_them:
        leaving = all_of_them[:old]
        for one in leaving:
            assert handover.leave_to_later(one.fileno(), old)
        connect(leaving[0], 60)
        counts = taken(all_of_them, 60)[old:]
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
        counts = taken(all_of_them[old:], 120)
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
        before = Counter(descriptors.links())
        for _ in range(5):
            handover.leave_to_later(alone.fileno(), 1)
            handover.spread_again(alone.fileno())
        assert Counter(descriptors.links()) <= before
        closed = os.dup(alone.fileno())
        os.close(closed)
        assert not handover.leave_to_later(closed, 1)
        handover.spread_again(closed)


def test_who_is_alone_keeps_its_connections() -> None:
    with listeners(1) as [alone]:
        assert handover.leave_to_later(alone.fileno(), 1)
        connect(alone, 5)
        assert taken([alone], 5) == [5]


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
    answered = [0] * 6

    async def quiet(quiet_s: float) -> None:
        """What a drain's quiet time is for: every client has got an answer to what it sent since it began."""
        before = list(answered)
        async with asyncio.timeout(PATIENCE_S):
            while quiet_s and not ended.is_set() and any(map(lt, answered, (count + 2 for count in before))):
                await asyncio.sleep(0.001)

    monkeypatch.setattr(gateway_main, "asyncio", Mock(wraps=asyncio, sleep=quiet))

    async def ask(client: int, *, again: bool) -> None:
        """Send requests one after the other, on one connection, or each on a new one."""
        connection = load.Connection("127.0.0.1", port)
        while not ended.is_set():
            replies.append(await connection.request(HOST))
            answered[client] += 1
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
        clients = [asyncio.ensure_future(ask(number, again=number % 2 == 0)) for number in range(len(answered))]
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
