"""The swap plan as timelines, and beside first come, first served: how many loads alternating access costs."""

from __future__ import annotations

import math
import random

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


def loads_of_first_come_first_served(arrivals: list[tuple[float, str]], budget: int) -> int:
    """Count the loads when each request is served in its turn and the least recently used model goes."""
    memory: dict[str, float] = {}
    loads = 0
    for at, key in arrivals:
        if key not in memory:
            loads += 1
            if len(memory) >= budget:
                del memory[min(memory, key=lambda each: memory[each])]
        memory[key] = at
    return loads


def loads_of_the_plan(arrivals: list[tuple[float, str]], budget: int) -> tuple[int, float]:
    """Count the loads of the plan for the same requests, each served in no time; also the longest wait in seconds."""
    made = plan(budget_bytes=budget)
    memory: dict[str, Resident] = {}
    since: dict[str, float] = {}
    loads, longest = 0, 0.0

    def work(until: float, now: float) -> None:
        nonlocal loads, longest
        while now <= until:
            chosen = step(made, *memory.values(), now=now)
            if isinstance(chosen, Wait):
                if chosen.until > until:
                    return
                now = chosen.until
                continue
            assert isinstance(chosen, Load)
            for victim in chosen.evict:
                del memory[str(victim)]
            key = str(chosen.key)
            memory[key] = resident(key, loaded_at=now, used=now)
            longest = max(longest, now - since.pop(key))
            loads += 1
            made.settle(key)

    last = 0.0
    for at, key in arrivals:
        work(at, last)
        last = at
        if key in memory:
            memory[key] = resident(key, loaded_at=memory[key].loaded_at, used=at)
        else:
            since.setdefault(key, at)
            made.want(key, 1, at)
    work(last + 100, last)
    assert made.waiting == 0
    return loads, longest


def test_alternating_access_costs_a_quarter_of_the_loads_at_most() -> None:
    alternating = [(number * 0.05, "ABC"[number % 3]) for number in range(600)]
    loads, longest = loads_of_the_plan(alternating, budget=1)
    assert loads <= loads_of_first_come_first_served(alternating, budget=1) / 4
    assert longest <= 10.0
    chance = random.Random(7)
    mixed = [(number * 0.02, f"m{chance.randrange(60)}") for number in range(3000)]
    loads, longest = loads_of_the_plan(mixed, budget=20)
    assert loads < loads_of_first_come_first_served(mixed, budget=20)
    assert longest <= 10.0 + 1.0
