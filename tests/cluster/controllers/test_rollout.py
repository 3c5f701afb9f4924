"""Rolling-update arithmetic: tables, and its two promises under any interleaving."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.controllers import rollout
from cluster.controllers.rollout import Limits, SetCounts

LIMITS = [
    # replicas, surge, unavailable, resolved
    (4, "25%", "25%", (1, 1)),
    (3, "25%", "25%", (1, 0)),
    (1, "25%", "25%", (1, 0)),
    (10, "50%", "30%", (5, 3)),
    (5, 2, 0, (2, 0)),
    (5, 0, 0, (0, 1)),
    (5, "0%", "10%", (0, 1)),
    (2, 0, 9, (0, 2)),
    (0, 1, 0, (1, 0)),
]


@pytest.mark.parametrize(("replicas", "surge", "unavailable", "resolved"), LIMITS)
def test_limits(replicas: int, surge: int | str, unavailable: int | str, resolved: tuple[int, int]) -> None:
    found = rollout.limits(replicas, surge, unavailable)
    assert (found.max_surge, found.max_unavailable) == resolved


NEW = [
    # new now, all now, (replicas, surge), new then
    (0, 4, (4, 1), 1),
    (1, 4, (4, 1), 2),
    (1, 5, (4, 1), 1),
    (0, 4, (4, 0), 0),
    (6, 6, (4, 1), 4),
    (0, 0, (3, 0), 3),
    (2, 3, (10, 0), 9),
]


@pytest.mark.parametrize(("new", "total", "limit", "then"), NEW)
def test_new_replicas(new: int, total: int, limit: tuple[int, int], then: int) -> None:
    assert rollout.new_replicas(new, total, Limits(*limit, 0)) == then


OLD = [
    # old (replicas, available)..., new, (replicas, surge, unavailable), old then
    ([(4, 4)], (1, 0), (4, 1, 0), [4]),
    ([(4, 4)], (1, 1), (4, 1, 0), [3]),
    ([(4, 4)], (1, 0), (4, 1, 1), [3]),
    ([(4, 4)], (0, 0), (4, 0, 1), [3]),
    ([(4, 2)], (1, 0), (4, 1, 1), [3]),
    ([(4, 0)], (1, 1), (4, 1, 1), [2]),
    ([(1, 1), (3, 3)], (1, 1), (4, 1, 0), [0, 3]),
    ([(2, 0), (3, 3)], (1, 1), (4, 2, 1), [0, 2]),
    ([(3, 3)], (0, 0), (0, 1, 0), [0]),
]


@pytest.mark.parametrize(("old", "new", "limit", "then"), OLD)
def test_old_replicas(
    old: list[tuple[int, int]], new: tuple[int, int], limit: tuple[int, int, int], then: list[int]
) -> None:
    counts = [SetCounts(str(index), *one) for index, one in enumerate(old)]
    found = rollout.old_replicas(counts, SetCounts("new", *new), Limits(*limit))
    assert [found[one.name] for one in counts] == then


@given(st.data())
def test_a_rollout_ends_and_never_breaks_its_limits(data: st.DataObject) -> None:
    replicas = data.draw(st.integers(0, 6))
    limit = rollout.limits(replicas, data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3)))
    old, new = SetCounts("old", replicas, replicas), SetCounts("new", 0, 0)
    for turn in range(60):
        # Pods become available at any time, in the end surely.
        ready = new.replicas if turn % 3 == 2 else data.draw(st.integers(new.available, new.replicas))
        new = SetCounts("new", new.replicas, ready)
        new = SetCounts("new", rollout.new_replicas(new.replicas, new.replicas + old.replicas, limit), new.available)
        size = rollout.old_replicas([old], new, limit)["old"]
        old = SetCounts("old", size, min(old.available, size))
        assert new.replicas + old.replicas <= replicas + limit.max_surge
        assert new.available + old.available >= replicas - limit.max_unavailable
        if old.replicas == 0 and new.available == replicas:
            return
    pytest.fail("the rollout did not end")
