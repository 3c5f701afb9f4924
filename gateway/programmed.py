"""The admin page that tells how far the tables of this process have come, as soon as that is far enough.

The controller asks it before it calls a Route Ready. An answer is kept back until the tables have what was asked for,
for a second at the most; what is told is always what is in place. It decides nothing about requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tidegate.contracts import programmed
from tidegate.contracts.programmed import Versions
from tidegate.process.admin import Page, json_page

WAITING_LIMIT = 64
"""Questions that may wait; further ones are answered at once."""


class Programmed:
    """The page. `versions` tells what is in place; `changed` is to be called whenever that may be more."""

    def __init__(self, versions: Callable[[], Versions]) -> None:
        self._versions = versions
        self._news = asyncio.Event()
        self._waiting = 0

    def changed(self) -> None:
        """Let those who wait look again."""
        if self._waiting:
            self._news.set()
            self._news = asyncio.Event()

    async def page(self, _path: str, query: dict[str, str]) -> Page:
        """Answer one question."""
        try:
            wanted, wait_s = programmed.read_question(query)
        except ValueError as error:
            return Page(400, f"{error}\n".encode())
        if self._waiting < WAITING_LIMIT:
            self._waiting += 1
            try:
                await self._reach(wanted, wait_s)
            finally:
                self._waiting -= 1
        return json_page(self._versions())

    async def _reach(self, wanted: Versions, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                while not self._versions().covers(wanted):
                    await self._news.wait()
        except TimeoutError:
            pass
