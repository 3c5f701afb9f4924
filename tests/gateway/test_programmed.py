"""The page that tells how far the tables are: at once when they are far enough, otherwise when they are, or in time."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gateway import programmed
from gateway.programmed import Programmed
from tidegate.contracts.programmed import LONGEST_WAIT_S, NOTHING, Versions
from tidegate.process.admin import Page

pytestmark = pytest.mark.looptime


class Tables:
    def __init__(self) -> None:
        self.versions = NOTHING
        self.page = Programmed(lambda: self.versions)

    def reach(self, versions: Versions) -> None:
        self.versions = versions
        self.page.changed()


async def told(tables: Tables, **query: str) -> Versions:
    page: Page = await tables.page.page("", query)
    assert page.status == 200
    return msgspec.json.decode(page.body, type=Versions)


async def test_what_is_there_is_told_at_once():
    tables, loop = Tables(), asyncio.get_running_loop()
    tables.reach(Versions(7, 3))
    assert await told(tables, routes="7", mappings="3", wait_s="1") == Versions(7, 3)
    assert await told(tables, routes="9") == Versions(7, 3), "without a wait, whatever is wanted"
    assert loop.time() == 0


async def test_an_answer_comes_in_the_moment_the_tables_are_far_enough():
    tables, loop = Tables(), asyncio.get_running_loop()
    loop.call_later(0.2, tables.reach, Versions(6))
    loop.call_later(0.4, tables.reach, Versions(8))
    assert await told(tables, routes="7", wait_s="1") == Versions(8)
    assert loop.time() == pytest.approx(0.4)


async def test_tables_that_stay_behind_are_told_as_they_are():
    tables, loop = Tables(), asyncio.get_running_loop()
    loop.call_later(0.2, tables.reach, Versions(6))
    assert await told(tables, routes="7", wait_s="60") == Versions(6)
    assert loop.time() == pytest.approx(LONGEST_WAIT_S)


async def test_only_so_many_questions_wait():
    tables, loop = Tables(), asyncio.get_running_loop()
    waiting = [asyncio.ensure_future(told(tables, routes="7", wait_s="1")) for _ in range(programmed.WAITING_LIMIT)]
    await asyncio.sleep(0)
    assert await told(tables, routes="7", wait_s="1") == NOTHING
    assert loop.time() == 0
    tables.reach(Versions(7))
    assert await asyncio.gather(*waiting) == [Versions(7)] * programmed.WAITING_LIMIT
    assert loop.time() == 0


async def test_a_question_that_cannot_be_read_is_refused():
    page = await Tables().page.page("", {"routes": "all"})
    assert (page.status, b"all" in page.body) == (400, True)
