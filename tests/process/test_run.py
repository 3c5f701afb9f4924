"""How a process ends when it cannot begin: one line, exit 1."""

from __future__ import annotations

import asyncio
import socket

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
