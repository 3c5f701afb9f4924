"""How a process ends when it cannot begin: one line, exit 1."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from tidegate.process import run, settings


@pytest.fixture(autouse=True)
def _no_loop_left_behind():
    yield
    asyncio.set_event_loop(None)


def test_an_address_in_use_is_one_line(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        async def main(_stopping: asyncio.Event) -> None:
            await asyncio.start_server(lambda *_: None, "127.0.0.1", port)

        with pytest.raises(SystemExit, match="1"):
            run.run(main)
    (line,) = capsys.readouterr().err.splitlines()
    assert str(port) in line and line.startswith("error: ")


def test_a_wrong_setting_is_one_line(capsys):
    async def main(_stopping: asyncio.Event) -> None:
        raise settings.SettingsError("port: 0 is wrong")

    with pytest.raises(SystemExit, match="1"):
        run.run(main)
    assert capsys.readouterr().err == "error: port: 0 is wrong\n"


def test_other_errors_are_not_hidden():
    async def main(_stopping: asyncio.Event) -> None:
        raise FileNotFoundError(2, "no such file")

    with pytest.raises(FileNotFoundError):
        run.run(main)


class Collector:
    """In place of the garbage collector: remembers when it was told what."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.calls.append((name, asyncio.get_running_loop().time()))


FREEZE_START_UP = run.freeze_start_up
"""Hops that other tests keep running in this process have put a function that freezes nothing in its place."""


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("is_forked", "busy_until_s", "calls"),
    [
        (False, 0.0, [("freeze", 0.0), ("unfreeze", 5.0), ("collect", 5.0), ("freeze", 5.0)]),
        (False, 12.0, [("freeze", 0.0), ("unfreeze", 15.0), ("collect", 15.0), ("freeze", 15.0)]),
        (False, 1e9, [("freeze", 0.0), ("unfreeze", 60.0), ("collect", 60.0), ("freeze", 60.0)]),
        (True, 1e9, [("collect", 0.0), ("freeze", 0.0)]),  # forked: what the template froze stays shared
    ],
)
async def test_the_first_request_does_not_wait_for_the_collector(
    monkeypatch: pytest.MonkeyPatch, is_forked: bool, busy_until_s: float, calls: list[tuple[str, float]]
) -> None:
    collector = Collector()
    monkeypatch.setattr(run, "gc", collector)
    monkeypatch.setattr(run, "freeze_start_up", FREEZE_START_UP)
    await run.settle_start_up(lambda: asyncio.get_running_loop().time() < busy_until_s, is_forked=is_forked)
    assert [(name, round(at, 3)) for name, at in collector.calls] == calls
