"""Worlds for the tables: each director on each event loop, alive through all rows that are played against it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.support.hostile_world import DIRECTORS, LOOPS, World


@pytest.fixture(scope="session", params=[(director, loop) for loop in LOOPS for director in DIRECTORS], ids="-".join)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Run one director; nothing of the engine is left when it has stopped."""
    opened = World(*request.param).open()
    yield opened
    opened.close()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the async tests of this folder, those of the engine alone, on each loop too."""
    return LOOPS
