"""Asking gateways over real sockets: who is asked, how often, and whom an answer marks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from controller import gateways as module
from controller.gateways import Gateways
from controller.programming import NO_GATEWAY, WAITING
from controller.triggers import ROUTE, Key
from tests.support.fake_api import FakeApi
from tests.support.hops import free_port
from tests.support.serving import put_system
from tidegate.contracts import names, programmed
from tidegate.contracts.programmed import Versions
from tidegate.process import tasks
from tidegate.process.admin import AdminServer, Page, json_page

DEADLINE_S = 30.0
HELLO, OTHER = Key(ROUTE, "default", "hello"), Key(ROUTE, "default", "other")


class Gateway:
    """Admin ports of two pods, one loopback address each; `answers` are given in turn, the last one for ever."""

    def __init__(self) -> None:
        self.port = free_port()
        self.answers: dict[str, list[Page]] = {"127.0.0.1": [], "127.0.0.2": []}
        self.asked: list[tuple[str, Versions]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for address in self.answers:
                admin = AdminServer()
                admin.page(programmed.PATH, lambda _path, query, at=address: self._answer(at, query))
                await admin.start(address, self.port)
                stack.push_async_callback(admin.close)
            yield

    def _answer(self, address: str, query: dict[str, str]) -> Page:
        self.asked.append((address, programmed.read_question(query)[0]))
        found = self.answers[address]
        return found.pop(0) if len(found) > 1 else found[0]


def told(routes: int) -> Page:
    return json_page(Versions(routes))


@pytest.fixture
async def gateway():
    made = Gateway()
    async with made.running():
        yield made


@pytest.fixture
async def asking(gateway):
    """Two ready gateways, and what is marked."""
    api = FakeApi()
    put_system(api, names.GATEWAY_SERVICE, [("127.0.0.1", True), ("127.0.0.2", True), ("127.0.0.3", False)])
    made = Asking(api, gateway.port)
    running = tasks.spawn(made.gateways.run(), "gateways")
    yield made
    await made.end()
    await tasks.cancel(running)


class Asking:
    def __init__(self, api: FakeApi, port: int) -> None:
        self.api = api
        self.gateways = Gateways(api, names.SYSTEM_NAMESPACE, port)
        self.marked: asyncio.Queue[set[Key]] = asyncio.Queue()
        self.gateways.mark = self.marked.put_nowait

    async def end(self) -> None:
        """Let the last question be answered, so that no connection is left half open."""
        put_system(self.api, names.GATEWAY_SERVICE, [])
        async with asyncio.timeout(DEADLINE_S):
            while self.gateways._asking:
                await asyncio.sleep(0.01)

    async def next_mark(self) -> set[Key]:
        async with asyncio.timeout(DEADLINE_S):
            return await self.marked.get()


async def test_a_key_is_marked_when_all_ready_gateways_have_what_it_wants(gateway, asking):
    gateway.answers["127.0.0.1"] = [told(7)]
    gateway.answers["127.0.0.2"] = [told(3), told(7)]
    asking.gateways.want(HELLO, Versions(7))
    assert await asking.next_mark() == {HELLO}
    assert asking.gateways.obstacle(Versions(7)) == ""
    assert asking.gateways.obstacle(Versions(8)) == WAITING
    assert sorted(gateway.asked) == [("127.0.0.1", Versions(7)), ("127.0.0.2", Versions(7)), ("127.0.0.2", Versions(7))]


async def test_one_question_for_many_keys_and_none_when_the_answer_is_known(gateway, asking):
    gateway.answers = {address: [told(100)] for address in gateway.answers}
    keys = {Key(ROUTE, "default", f"hello-{number}") for number in range(50)}
    for number, key in enumerate(sorted(keys)):
        asking.gateways.want(key, Versions(number))
    marked: set[Key] = set()
    while marked != keys:
        marked |= await asking.next_mark()
    asking.gateways.want(OTHER, Versions(100))
    assert await asking.next_mark() == {OTHER}
    assert len(gateway.asked) <= 4, gateway.asked


@pytest.mark.parametrize(
    "broken",
    [Page(503, b"a worker does not tell\n"), Page(200, b"ok\n"), Page(200, b"x" * 5000), Page(504, b"too long\n")],
)
async def test_what_is_no_answer_is_asked_again(gateway, asking, broken):
    gateway.answers = {"127.0.0.1": [told(7)], "127.0.0.2": [broken, broken, told(7)]}
    asking.gateways.want(HELLO, Versions(7))
    assert await asking.next_mark() == {HELLO}
    assert gateway.asked.count(("127.0.0.2", Versions(7))) == 3


async def test_a_gateway_of_an_earlier_release_holds_up_no_upgrade(gateway, asking):
    gateway.answers = {"127.0.0.1": [told(7), told(9)], "127.0.0.2": [Page(404, b"pages: /wakes\n")]}
    asking.gateways.want(HELLO, Versions(7))
    assert await asking.next_mark() == {HELLO}
    asking.gateways.want(OTHER, Versions(9))
    assert await asking.next_mark() == {OTHER}


async def test_a_gateway_that_dies_holds_nobody_up_once_it_is_not_ready_any_more(gateway, asking):
    gateway.answers = {"127.0.0.1": [told(7)], "127.0.0.2": [Page(503, b"")]}
    asking.gateways.want(HELLO, Versions(7))
    async with asyncio.timeout(DEADLINE_S):
        while ("127.0.0.1", Versions(7)) not in gateway.asked:
            await asyncio.sleep(0.01)
    assert asking.marked.empty()
    put_system(asking.api, names.GATEWAY_SERVICE, [("127.0.0.1", True), ("127.0.0.2", False)])
    assert await asking.next_mark() == {HELLO}


async def test_a_gateway_that_is_ready_and_dead_is_passed_over_after_a_while(gateway, asking, monkeypatch, caplog):
    monkeypatch.setattr("controller.programming.SILENT_S", 0.2)
    gateway.answers = {"127.0.0.1": [told(7)], "127.0.0.2": [Page(503, b""), Page(503, b"")]}
    asking.gateways.want(HELLO, Versions(7))
    assert await asking.next_mark() == {HELLO}
    # The other's answer may come last and mark it; the dead one is asked on, and its next silence is told.
    async with asyncio.timeout(DEADLINE_S):
        while "gateway 127.0.0.2 has not answered" not in caplog.text:
            await asyncio.sleep(0.01)


async def test_without_a_gateway_that_is_told_and_asked_for_again_when_one_comes(gateway):
    api = FakeApi()
    made = Asking(api, gateway.port)
    made.gateways.want(HELLO, Versions(7))
    assert made.gateways.obstacle(Versions(7)) == WAITING, "they are not listed yet"
    running = tasks.spawn(made.gateways.run(), "gateways")
    assert await made.next_mark() == {HELLO}
    assert made.gateways.obstacle(Versions(7)) == NO_GATEWAY
    gateway.answers["127.0.0.1"] = [told(7)]
    put_system(api, names.GATEWAY_SERVICE, [("127.0.0.1", True)])
    assert await made.next_mark() == {HELLO}, "the obstacle is another one"
    assert await made.next_mark() == {HELLO}
    assert made.gateways.obstacle(Versions(7)) == ""
    await made.end()
    await tasks.cancel(running)


def test_an_answer_may_be_kept_back_for_less_than_it_is_waited_for():
    assert module.ANSWER_TIMEOUT_S > programmed.LONGEST_WAIT_S
