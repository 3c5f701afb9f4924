"""The swap plan as timelines, and beside first come, first served: how many loads alternating access costs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.repository.swap_plan import Drain, Evict, Load, Refuse, Resident, Step, SwapLimits, SwapPlan, Wait


def plan(**limits: float) -> SwapPlan:
    return SwapPlan(SwapLimits(**{"budget_bytes": 2, "min_residency_s": 1.0, "max_wait_s": 10.0, **limits}))  # type: ignore[arg-type]


def resident(key: str, *, loaded_at: float = 0.0, used: float = 0.0, size: float = 1, **flags: bool) -> Resident:
    return Resident(key, size, loaded_at, used, **flags)


def step(made: SwapPlan, *residents: Resident, now: float, loading: tuple[str, ...] = ()) -> Step:
    return made.next(residents, loading, len(loading), now)


def test_what_fits_is_loaded_at_once_and_only_once() -> None:
    made = plan()
    made.want("a", 1, 0.0)
    made.want("a", 1, 0.0)
    assert step(made, now=0.0) == Load("a")
    assert step(made, now=0.0, loading=("a",)) == Wait()
    made.settle("a")
    assert made.waiting == 0


def test_the_first_to_wait_is_the_first_to_be_loaded() -> None:
    made = plan()
    for key in "bab":
        made.want(key, 1, 0.0)
    assert step(made, now=0.0) == Load("b")
    made.settle("b")
    assert step(made, resident("b"), now=0.0) == Load("a")


def test_the_model_for_which_most_wait_is_next_until_another_waits_half_the_longest_time() -> None:
    made = plan()
    for key, at in (("old", 0.0), ("many", 1.0), ("many", 2.0), ("late", 1.0)):
        made.want(key, 1, at)
    assert step(made, now=4.9) == Load("many"), "one load serves two"
    assert step(made, now=5.0) == Load("old")
    made.settle("many")
    assert step(made, now=4.9) == Load("old"), "of as many, the one that waits longer"


def test_residency_does_not_count_while_nothing_comes() -> None:
    made = plan(budget_bytes=1)
    for number in range(100):
        made.want("b", 1, number * 0.05)
    last = 99 * 0.05
    fresh = resident("a", loaded_at=last - 0.1, used=last)
    waiting = step(made, fresh, now=last)
    assert isinstance(waiting, Wait) and 0.2 <= waiting.until - last < 0.25, "four pauses of 50 ms, not the residency"
    assert step(made, fresh, now=waiting.until) == Load("b", ("a",))
    asked = resident("a", loaded_at=last - 0.1, used=last + 0.1)
    assert step(made, asked, now=waiting.until) == Wait(waiting.until + 0.1), "a was asked for meanwhile"


def test_one_swap_at_a_time_and_what_fits_beside_it() -> None:
    made = plan(budget_bytes=3)
    for key in "cd":
        made.want(key, 1, 5.0)
    residents = resident("a"), resident("b", used=1.0)
    assert step(made, *residents, now=5.0) == Load("c")
    assert step(made, *residents, now=5.0, loading=("c",)) == Wait(), "its end is a turn: who needs it most may change"
    assert step(made, resident("a"), now=5.0, loading=("c",)) == Load("d")


def test_the_least_recently_used_idle_one_goes() -> None:
    made = plan()
    made.want("c", 1, 5.0)
    residents = resident("a", used=2.0), resident("b", used=1.0)
    assert step(made, *residents, now=5.0) == Load("c", ("b",))
    busy = resident("a", used=2.0), resident("b", used=1.0, is_in_use=True)
    assert step(made, *busy, now=5.0) == Load("c", ("a",))
    pinned = resident("a", used=2.0), resident("b", used=1.0, is_pinned=True)
    assert step(made, *pinned, now=5.0) == Load("c", ("a",))


def test_residency_holds_a_model_until_its_time_or_until_somebody_waited_too_long() -> None:
    made = plan(budget_bytes=1, min_residency_s=30.0)
    made.want("b", 1, 5.0)
    assert step(made, resident("a", loaded_at=4.0), now=5.0) == Wait(15.0), "the longest wait ends before the residency"
    assert step(made, resident("a", loaded_at=4.0), now=15.0) == Load("b", ("a",))
    assert step(made, resident("a", loaded_at=-40.0), now=5.0) == Load("b", ("a",))


def test_a_model_that_is_always_in_use_is_drained_for_one_that_waited_too_long() -> None:
    made = plan(budget_bytes=1)
    made.want("b", 1, 0.0)
    busy = resident("a", is_in_use=True)
    assert step(made, busy, now=5.0) == Wait(10.0)
    assert step(made, busy, now=10.0) == Drain("a")


def test_a_model_that_never_fits_is_refused() -> None:
    made = plan()
    made.want("big", 3, 0.0)
    assert step(made, now=0.0) == Refuse("big", 3, 2)
    made.settle("big")
    made.want("b", 2, 0.0)
    assert step(made, resident("a", is_pinned=True), now=0.0) == Refuse("b", 2, 1)


def test_what_turned_out_too_large_pushes_out_what_is_idle_but_never_itself() -> None:
    made = plan()
    large = resident("c", loaded_at=9.0, size=2)
    old = resident("a", used=1.0), resident("b", used=2.0, is_in_use=True)
    assert step(made, *old, large, now=9.0) == Evict(("a",))
    assert step(made, resident("a", is_leaving=True), large, now=9.0) == Wait()
    assert step(made, resident("c", loaded_at=9.0, size=5), now=9.0) == Wait()


def test_memory_that_is_not_free_yet_is_not_given_away() -> None:
    made = plan(budget_bytes=1)
    made.want("b", 1, 0.0)
    assert step(made, resident("a", is_leaving=True), now=0.5) == Wait(10.0)


def test_a_full_waiting_room_and_those_who_leave() -> None:
    made = plan(max_waiting=2)
    first, second = made.want("a", 1, 0.0), made.want("a", 1, 0.0)
    assert made.want("b", 1, 0.0) is None
    assert first is not None and second is not None
    made.leave(first)
    assert made.waiting == 1
    made.settle("a")
    again = made.want("a", 1, 1.0)
    made.leave(second)
    assert made.waiting == 1 and again is not None, "a ticket of before takes nobody's place"
    made.leave(again)
    assert step(made, now=1.0) == Wait()


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 3)), max_size=40), st.integers(1, 4))
def test_the_budget_is_kept_and_everybody_is_served(asked: list[tuple[str, float]], budget: int) -> None:
    made = plan(budget_bytes=budget)
    memory: dict[str, Resident] = {}
    now = 0.0
    for key, pause in asked:
        now += pause
        if key in memory:
            memory[key] = resident(key, loaded_at=memory[key].loaded_at, used=now)
        else:
            made.want(key, 1, now)
        while not isinstance(chosen := step(made, *memory.values(), now=now), Wait):
            assert isinstance(chosen, Load)
            for victim in chosen.evict:
                del memory[str(victim)]
            memory[str(chosen.key)] = resident(str(chosen.key), loaded_at=now, used=now)
            made.settle(chosen.key)
            assert len(memory) <= budget
    while made.waiting:
        chosen = step(made, *memory.values(), now=now)
        assert isinstance(chosen, Load | Wait)
        if isinstance(chosen, Wait):
            assert now < chosen.until < math.inf, "somebody waits: there is a time to look again"
            now = chosen.until
            continue
        for victim in chosen.evict:
            del memory[str(victim)]
        memory[str(chosen.key)] = resident(str(chosen.key), loaded_at=now, used=now)
        made.settle(chosen.key)


# How many loads alternating access costs, beside first in, first out


LOAD_S = 0.01
TURNS = [f"m{number % 40}" for number in range(2000)]
MIXED = [f"m{number}" for number in random.Random(7).choices(range(40), k=2000)]
SKEWED = [
    f"m{number}" for number in random.Random(7).choices(range(200), [1 / (1 + each) for each in range(200)], k=2000)
]


def loads_of_fifo(keys: Iterable[str], room: int) -> int:
    """Count the loads when requests are served strictly as they came and the least recently used model goes."""
    memory: dict[str, None] = {}
    loads = 0
    for key in keys:
        loads += key not in memory
        memory.pop(key, None)
        memory[key] = None
        if len(memory) > room:
            del memory[next(iter(memory))]
    return loads


class Window:
    """A server in virtual time: `in_flight` requests of a list at a time, the next comes when one is answered.

    Requests for models in memory take no time, a load takes 10 ms.
    """

    def __init__(self, room: int, in_flight: int, **limits: float) -> None:
        self.made = plan(budget_bytes=room, **limits)
        self.room = room
        self.in_flight = in_flight
        self.memory: dict[str, Resident] = {}
        self.waiting: dict[str, list[float]] = {}
        self.loads = 0
        self.hits = 0
        self.waits: list[float] = []

    def serve(self, keys: Iterable[str]) -> None:
        rest = iter(keys)
        now = 0.0
        self._let_in(rest, now)
        while self.waiting:
            chosen = step(self.made, *self.memory.values(), now=now)
            if isinstance(chosen, Wait):
                assert now < chosen.until < math.inf, "somebody waits: there is a time to look again"
                now = chosen.until
                continue
            assert isinstance(chosen, Load)
            now += LOAD_S
            self._load(chosen, now)
            self._let_in(rest, now)

    def _load(self, chosen: Load, now: float) -> None:
        for victim in chosen.evict:
            del self.memory[str(victim)]
        key = str(chosen.key)
        self.memory[key] = resident(key, loaded_at=now, used=now)
        assert len(self.memory) <= self.room
        self.loads += 1
        self.waits += [now - since for since in self.waiting.pop(key)]
        self.made.settle(key, now)

    def _let_in(self, rest: Iterator[str], now: float) -> None:
        while sum(map(len, self.waiting.values())) < self.in_flight and (key := next(rest, None)) is not None:
            if key in self.memory:
                self.hits += 1
                self.memory[key] = resident(key, loaded_at=self.memory[key].loaded_at, used=now)
                continue
            self.waiting.setdefault(key, []).append(now)
            assert self.made.want(key, 1, now) is not None


@pytest.mark.parametrize(
    ("keys", "in_flight", "at_most"),
    [
        (TURNS, 10, 1.0),
        (TURNS, 40, 0.25),
        (TURNS, 200, 0.05),
        (MIXED, 10, 0.65),
        (MIXED, 40, 0.25),
        (MIXED, 200, 0.1),
        (SKEWED, 40, 0.8),
        (SKEWED, 200, 0.4),
    ],
    ids=[
        f"{name}-{count}"
        for name, counts in (("turns", (10, 40, 200)), ("mixed", (10, 40, 200)), ("skewed", (40, 200)))
        for count in counts
    ],
)
def test_loads_beside_first_in_first_out(keys: list[str], in_flight: int, at_most: float) -> None:
    """The more requests are in flight, the more of them one load serves; with few, nobody can know what comes next."""
    window = Window(20, in_flight)
    window.serve(keys)
    assert window.loads <= at_most * loads_of_fifo(keys, 20)
    assert max(window.waits) <= 10.0


def test_two_models_that_alternate_slowly_are_gathered_by_residency() -> None:
    """Open arrivals, one each 50 ms for three models and room for one: a load per residency, not one per request."""
    made = plan(budget_bytes=1)
    memory: dict[str, Resident] = {}
    loads, since, longest = 0, {}, 0.0
    arrivals = [(number * 0.05, "ABC"[number % 3]) for number in range(600)]
    now = 0.0
    for at, key in [*arrivals, (100.0, "")]:
        while not isinstance(chosen := step(made, *memory.values(), now=now), Wait) or chosen.until <= at:
            if isinstance(chosen, Wait):
                now = chosen.until
                continue
            assert isinstance(chosen, Load)
            loads += 1
            longest = max(longest, now - since.pop(str(chosen.key)))
            memory = {str(chosen.key): resident(str(chosen.key), loaded_at=now, used=now)}
            made.settle(chosen.key)
        now = at
        if key in memory:
            memory[key] = resident(key, loaded_at=memory[key].loaded_at, used=at)
        elif key:
            since.setdefault(key, at)
            made.want(key, 1, at)
    assert loads <= loads_of_fifo((key for _, key in arrivals), 1) / 4
    assert longest <= 10.0


@given(st.lists(st.sampled_from("aaaaaabbbcde"), max_size=120), st.integers(1, 3), st.integers(1, 12))
def test_nobody_waits_beyond_the_longest_wait(keys: list[str], room: int, in_flight: int) -> None:
    """Whatever comes: who has waited half of it is next by age, and five loads take less than the other half."""
    window = Window(room, in_flight, max_wait_s=0.2, min_residency_s=5.0)
    window.serve(keys)
    assert window.hits + len(window.waits) == len(keys), "all were served"
    assert max(window.waits, default=0.0) <= 0.2 + 5 * LOAD_S
