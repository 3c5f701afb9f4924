"""Who leads: the rule as a table, and that two replicas never lead at once, whatever is lost and whenever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.candidate import EXPIRE_S, GIVE_UP_S, RETRY_S, Candidate, Step


def lease(holder: str, stamp: str, **spec: Any) -> dict[str, Any]:
    return {"spec": {"holderIdentity": holder, "renewTime": stamp, "leaseDurationSeconds": 9, **spec}}


@pytest.mark.parametrize(
    ("looks", "step"),
    [
        pytest.param([(0, None)], Step.CREATE, id="no Lease: make it"),
        pytest.param([(0, lease("", "a"))], Step.TAKE, id="given up: take it at once"),
        pytest.param([(0, lease("me", "a"))], Step.RENEW, id="ours, from before a restart: renew it"),
        pytest.param([(0, lease("other", "a"))], Step.WAIT, id="another's: wait, however old its time stamp"),
        pytest.param([(0, lease("other", "a")), (8.9, lease("other", "a"))], Step.WAIT, id="silent, not long enough"),
        pytest.param([(0, lease("other", "a")), (9, lease("other", "a"))], Step.TAKE, id="silent for its duration"),
        pytest.param(
            [(0, lease("other", "a")), (8, lease("other", "b")), (16, lease("other", "b"))],
            Step.WAIT,
            id="each renewal starts the time anew",
        ),
        pytest.param(
            [(0, lease("other", "a", leaseDurationSeconds=30)), (20, lease("other", "a", leaseDurationSeconds=30))],
            Step.WAIT,
            id="a holder with a longer duration is given it",
        ),
        pytest.param(
            [(0, lease("other", "a", leaseDurationSeconds=None)), (9, lease("other", "a", leaseDurationSeconds=None))],
            Step.TAKE,
            id="a Lease without a duration has ours",
        ),
        pytest.param([(0, {}), (1, {"spec": None})], Step.TAKE, id="an empty Lease is nobody's"),
    ],
)
def test_what_to_do(looks: list[tuple[float, dict[str, Any] | None]], step: Step) -> None:
    candidate = Candidate("me")
    for now, found in looks:
        last = candidate.saw(found, now)
    assert last is step


def test_a_leader_stops_before_others_may_begin() -> None:
    candidate = Candidate("me")
    candidate.saw(None, 10.0)
    candidate.renewed(10.0)
    assert candidate.is_leading(10.0 + GIVE_UP_S - 0.01)
    assert not candidate.is_leading(10.0 + GIVE_UP_S)
    assert RETRY_S < GIVE_UP_S < EXPIRE_S


def test_a_leader_that_reads_anothers_name_stops_at_once() -> None:
    candidate = Candidate("me")
    candidate.saw(None, 0.0)
    candidate.renewed(0.0)
    candidate.saw(lease("other", "x"), 1.0)
    assert not candidate.is_leading(1.0)


@given(
    st.lists(
        st.tuples(st.sampled_from(["one", "two", "three"]), st.floats(0.1, 4.0), st.booleans()), min_size=1, max_size=60
    )
)
def test_two_never_lead_at_once(turns: list[tuple[str, float, bool]]) -> None:
    """Replicas look in any order, at any pace; each write may be lost on its way. Their clocks are far apart."""
    ahead = {"one": 0.0, "two": 1e6, "three": -500.0}
    replicas = {name: Candidate(name) for name in ahead}
    stored: dict[str, Any] | None = None
    now, writes = 0.0, 0
    for name, pause_s, is_lost in turns:
        now += pause_s
        candidate, clock = replicas[name], now + ahead[name]
        step = candidate.saw(stored, clock)
        if step is not Step.WAIT and not is_lost:
            writes += 1
            stored = lease(name, str(writes))
            candidate.renewed(clock)
        leaders = [one for one, who in replicas.items() if who.is_leading(now + ahead[one])]
        assert len(leaders) <= 1, leaders
