"""Bounds for swaps: nothing is below them, found by trying everything; and what they say of the measured lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.models import bounds
from loadtest.models_bounds import least_loads, loads_of_patience
from loadtest.models_swaps import LISTS, loads_of_fifo

State = tuple[int, frozenset[int], frozenset[int]]


def fewest(numbers: list[int], room: int, in_flight: int, memory: frozenset[int]) -> int:
    """Return the fewest loads of all plans there are: who waits, what is loaded when, and what goes for it."""
    # Position in the list, positions of those who wait, models in memory.
    layer: set[State] = {(0, frozenset(), memory)}
    for loads in range(len(numbers) + 1):
        layer = _without_loads(layer, numbers, in_flight)
        if any(at == len(numbers) and not waiting for at, waiting, _ in layer):
            return loads
        layer = {
            (at, waiting, kept | {numbers[one]})
            for at, waiting, memory in layer
            for one in waiting
            if numbers[one] not in memory
            for kept in ([memory] if len(memory) < room else [memory - {victim} for victim in memory])
        }
    raise AssertionError("a load for each request is always enough")


def _without_loads(layer: set[State], numbers: list[int], in_flight: int) -> set[State]:
    reached, work = set(layer), list(layer)
    while work:
        at, waiting, memory = work.pop()
        following = [(at, waiting - {one}, memory) for one in waiting if numbers[one] in memory]
        if at < len(numbers) and len(waiting) < in_flight:
            following.append((at + 1, waiting | {at}, memory))
        work += set(following) - reached
        reached |= set(following)
    return reached


@given(
    st.lists(st.integers(0, 3), max_size=7),
    st.integers(1, 2),
    st.integers(1, 3),
    st.frozensets(st.integers(0, 3), max_size=2),
)
def test_no_plan_at_all_needs_fewer_loads(
    numbers: list[int], room: int, in_flight: int, memory: frozenset[int]
) -> None:
    found = fewest(numbers, room, in_flight, frozenset(sorted(memory)[:room]))
    assert least_loads(numbers, room, in_flight) <= found <= loads_of_fifo(numbers, room)


@pytest.mark.parametrize("in_flight", [1, 10, 40, 200])
@pytest.mark.parametrize("name", LISTS)
def test_a_plan_that_only_waits_is_between_the_bound_and_first_in_first_out(name: str, in_flight: int) -> None:
    patient = loads_of_patience(40, 2000, 20, in_flight, seed=1)
    assert least_loads(LISTS[name], 20, in_flight) <= patient <= 1.1 * loads_of_fifo(LISTS["mixed"], 20)


def test_the_figures_of_the_documentation_are_those_of_the_command() -> None:
    found = bounds()
    assert (found["turns, 10 in flight"], found["mixed, 10 in flight"]) == (0.255, 0.175)
    assert found["mixed, 10 in flight, by waiting alone"] == pytest.approx(0.60, abs=0.005)


def test_models_in_turns_cannot_be_had_for_a_quarter_with_ten_in_flight() -> None:
    assert least_loads(LISTS["turns"], 20, 10) / loads_of_fifo(LISTS["turns"], 20) > 0.25
