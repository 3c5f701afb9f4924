"""The event loop is chosen in one place, with a fall-back."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tidegate.wire import loop


async def _module_of_the_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_uvloop_where_it_is_installed() -> None:
    assert loop.run(_module_of_the_loop()).startswith("uvloop")


def test_asyncio_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop.run(_module_of_the_loop()).startswith("asyncio")
    made = loop.new_event_loop()
    assert isinstance(made, asyncio.AbstractEventLoop)
    made.close()
