"""Container logs: lines, parts, rotation, selection."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from cluster.node import logs
from cluster.node.logs import ContainerLog, Selection

ALL = Selection()


async def test_lines_of_both_streams(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "c" / "0.log", 1000)
    out, err = log.pipe("stdout"), log.pipe("stderr")
    with log.changes() as grown:
        os.write(out, b"one\ntw")
        os.write(err, b"oops\n")
        async with asyncio.timeout(30):
            await grown.wait()
    os.write(out, b"o\nlast")
    os.close(out)
    os.close(err)
    log.close()
    assert sorted(logs.select(log.path, ALL).splitlines()) == [b"last", b"one", b"oops", b"two"]
    assert [line.split(b" ")[1] for line in logs.stored_lines(log.path) if b"oops" in line] == [b"stderr"]
    assert log.is_closed


async def test_long_lines_are_stored_in_parts_and_shown_whole(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "0.log", 1 << 20)
    text = b"x" * (logs.LINE_LIMIT_BYTES * 2 + 5)
    log.write("stdout", text + b"\nshort\n")
    log.close()
    assert [line.split(b" ")[2] for line in logs.stored_lines(log.path)] == [b"P", b"P", b"F", b"F"]
    assert logs.select(log.path, ALL) == text + b"\nshort\n"
    assert logs.select(log.path, Selection(tail_lines=2)) == text + b"\nshort\n"
    assert logs.select(log.path, Selection(tail_lines=1)) == b"short\n"


async def test_a_line_without_end_is_cut_while_it_comes(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "0.log", 1 << 20)
    for _ in range(5):
        log.write("stdout", b"y" * 10_000)
    log.write("stdout", b"\n")
    log.close()
    assert logs.select(log.path, ALL) == b"y" * 50_000 + b"\n"


async def test_rotation_keeps_one_older_file(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "0.log", 500)
    for number in range(30):
        log.write("stdout", b"line %d\n" % number)
    log.close()
    shown = logs.select(log.path, ALL).decode().split("\n")[:-1]
    assert shown[-1] == "line 29"
    assert 10 < len(shown) < 30
    assert shown == [f"line {number}" for number in range(30 - len(shown), 30)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.log", "0.log.1"]


def test_selection(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_text(
        "2026-01-01T00:00:00.000001Z stdout F a\n2026-01-01T00:00:05.000001Z stdout F b\n"
        "2026-01-01T00:00:09.000001Z stderr F c\n2026-01-01T00:00"
    )
    assert logs.select(path, ALL) == b"a\nb\nc\n"
    assert logs.select(path, Selection(tail_lines=0)) == b""
    assert logs.select(path, Selection(tail_lines=9)) == b"a\nb\nc\n"
    assert logs.select(path, Selection(limit_bytes=3)) == b"a\nb"
    assert logs.select(path, Selection(since_unix_s=1767225605.0)) == b"b\nc\n"
    assert logs.select(path, Selection(tail_lines=1, timestamps=True)) == b"2026-01-01T00:00:09.000001Z c\n"
    first_line = len(path.read_bytes().splitlines(keepends=True)[0])
    assert logs.select(path, ALL, first_line) == b"a\n"
    lines, end = logs.read_from(path, first_line, 1000)
    assert (len(lines), end) == (2, path.stat().st_size - len("2026-01-01T00:00"))
    assert logs.read_from(path, 10_000, 1000)[0][0].endswith(b"a\n")
    assert logs.size(tmp_path / "none") is None
    assert logs.select(tmp_path / "none", ALL) == b""


@pytest.mark.slow
async def test_who_outlives_the_container_and_writes_on_does_not_keep_the_log_open(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "0.log", 1 << 16)
    out = log.pipe("stdout")
    writer = await asyncio.create_subprocess_exec("yes", stdout=out)
    os.close(out)
    try:
        with log.changes() as grown:
            await grown.wait()
        log.close()
        assert log.is_closed
        assert await writer.wait() == -signal.SIGPIPE
    finally:
        if writer.returncode is None:
            writer.kill()
