"""How a process came up: its phases add up to its life until it was open, by its own clock alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types

import pytest

from tidegate.contracts.wake import FORKED, IMPORTS, PLAIN, PROCESS, WARM_UP, WEIGHTS
from tidegate.process import start_clock
from tidegate.process.start_clock import StartClock


class Script:
    """A clock in the hand of a test."""

    def __init__(self) -> None:
        self.now = 10.0
        self.start = StartClock(8.0, 9.0, FORKED, lambda: self.now)

    def after(self, seconds: float) -> StartClock:
        self.now += seconds
        return self.start


def test_all_time_until_it_is_open_belongs_to_one_phase() -> None:
    script = Script()
    script.after(1.0).enter(WEIGHTS)
    with script.after(2.0).phase(IMPORTS):
        script.after(0.5)
    with script.after(0.25).phase(WARM_UP):
        script.after(4.0)
    assert script.start.told() is None
    script.after(0.5).opened()
    told = script.after(7.0).told()
    assert told is not None
    assert told.own_s == (1.0, 2.5, 2.75, 4.0)  # from 9.0 on the program imported
    assert (told.all_s, told.open_s, told.way) == (10.25, 7.0, FORKED)
    assert sum(filter(None, told.own_s)) == told.all_s


def test_what_is_loaded_later_is_no_start() -> None:
    script = Script()
    script.start.opened()
    before = script.start.told()
    script.after(1.0).enter(WEIGHTS)
    with script.after(1.0).phase(WARM_UP):
        script.after(1.0).opened()
    told = script.start.told()
    assert before is not None and told is not None
    assert (told.own_s, told.all_s, told.open_s) == (before.own_s, before.all_s, 3.0)


def test_a_failing_phase_ends_as_well() -> None:
    script = Script()
    script.start.enter(WEIGHTS)
    with pytest.raises(ValueError, match="no such file"), script.start.phase(WARM_UP):
        script.after(1.0)
        raise ValueError("no such file")
    script.after(2.0).opened()
    told = script.start.told()
    assert told is not None and told.own_s[2:] == (2.0, 1.0)


def test_a_plain_process_reads_its_begin_from_the_kernel() -> None:
    code = (
        "from tidegate.process import start_clock; import time; began, ran, way = start_clock.began(); "
        "print(began <= ran <= time.monotonic(), way)"
    )
    before = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout == f"True {PLAIN}\n"
    began, _, _ = start_clock.began()
    assert began <= before  # this process is older than the one it has started


@pytest.mark.parametrize(("pid", "way"), [(os.getpid(), FORKED), (os.getpid() + 1, PLAIN)], ids=["own", "another"])
def test_a_forked_process_believes_its_own_note_only(monkeypatch: pytest.MonkeyPatch, pid: int, way: str) -> None:
    monkeypatch.setitem(sys.modules, start_clock.FORKED_CHILD, types.SimpleNamespace(started=(pid, 12.5, 12.75)))
    assert start_clock.began()[2] == way
    if way == FORKED:
        assert start_clock.began() == (12.5, 12.75, FORKED)
        clock = StartClock(*start_clock.began(), lambda: 13.0)
        clock.opened()
        told = clock.told()
        assert told is not None and dict(zip((PROCESS, IMPORTS), told.own_s, strict=False)) == {
            PROCESS: 0.25,
            IMPORTS: 0.25,
        }
