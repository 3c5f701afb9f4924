"""Who decides for what: every bucket by one replica at a time, and by a living one within ten seconds.

Replicas are played in virtual time against a store with guarded writes, as an API server has: they die, hang, lose the
server and come back, at random.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.shares import EXPIRE_S, GIVE_UP_S, RENEW_S, Board, assign

COUNT = 4
TAKEOVER_S = 10.0


class Store:
    """Leases with versions: a write that names an old version is refused."""

    def __init__(self) -> None:
        self.members: dict[str, str] = {}
        self.buckets: dict[int, tuple[int, str]] = {}

    def take(self, bucket: int, version: int, holder: str) -> bool:
        now, _ = self.buckets.get(bucket, (0, ""))
        if now != version:
            return False
        self.buckets[bucket] = (version + 1, holder)
        return True


class Replica:
    """One replica: its board, what it has seen of the store, and the seconds that its clock is off."""

    def __init__(self, name: str, store: Store, offset_s: float) -> None:
        self.name, self.store, self.offset_s = name, store, offset_s
        self.board = Board(name, COUNT)
        self.versions: dict[int, int] = {}
        self.stamp = 0
        self.is_cut_off = False

    def watch(self, now: float) -> None:
        if self.is_cut_off:
            return
        for name, stamp in self.store.members.items():
            self.board.saw_member(name, stamp, now + self.offset_s)
        for bucket, (version, holder) in self.store.buckets.items():
            self.versions[bucket], self.board.holders[bucket] = version, holder

    def renew(self, now: float) -> None:
        if not self.is_cut_off:
            self.stamp += 1
            self.store.members[self.name] = str(self.stamp)
            self.board.renewed(now + self.offset_s)
            if self.board.must_reclaim:
                self.board.reclaimed(frozenset(one for one in self.board.held() if not self._write(one, self.name)))

    def act(self, now: float) -> None:
        if self.is_cut_off:
            return
        plan = self.board.plan(now + self.offset_s)
        for bucket in plan.take:
            holder = self.board.holders.get(bucket, "")
            known = self.board.members.get(holder)
            if holder and known and self.store.members.get(holder, known.stamp) != known.stamp:
                continue  # it has stirred
            self._write(bucket, self.name)
        for bucket, owner in plan.give:
            self._write(bucket, owner)

    def _write(self, bucket: int, holder: str) -> bool:
        if not self.store.take(bucket, self.versions.get(bucket, 0), holder):
            return False
        self.versions[bucket] = self.versions.get(bucket, 0) + 1
        self.board.holders[bucket] = holder
        return True

    def decides(self, now: float) -> frozenset[int]:
        return self.board.held() if self.board.may_decide(now + self.offset_s) else frozenset()


def play(replicas: list[Replica], steps: list[tuple[float, int, bool]], until: float, seed: int) -> None:
    """Let replicas live; `steps` are (time, which, whether it is cut off from then on). Checks every instant."""
    draw = random.Random(seed)
    events: list[tuple[float, int, str]] = []
    for index in range(len(replicas)):
        heapq.heappush(events, (draw.random(), index, "renew"))
        heapq.heappush(events, (draw.random(), index, "look"))
    changed_at = 0.0
    pending = sorted(steps)
    while events and events[0][0] < until:
        now, index, what = heapq.heappop(events)
        while pending and pending[0][0] <= now:
            at, which, is_cut_off = pending.pop(0)
            replicas[which % len(replicas)].is_cut_off = is_cut_off
            changed_at = at
        replica = replicas[index]
        if what == "renew":
            replica.renew(now)
            heapq.heappush(events, (now + RENEW_S * draw.uniform(1.0, 1.2), index, "renew"))
        else:
            replica.watch(now)
            replica.act(now)
            heapq.heappush(events, (now + draw.uniform(0.1, 0.6), index, "look"))
        deciding = Counter(bucket for one in replicas for bucket in one.decides(now))
        assert all(count == 1 for count in deciding.values()), (now, deciding)
        if any(not one.is_cut_off for one in replicas) and now - changed_at > TAKEOVER_S:
            assert len(deciding) == COUNT, (now, deciding)


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.floats(0, 60), st.integers(0, 3), st.booleans()), max_size=8),
    st.integers(0, 1000),
)
def test_one_at_a_time_and_never_nobody_for_long(count, steps, seed):
    store = Store()
    replicas = [Replica(f"r{number}", store, offset_s=1000.0 * number) for number in range(count)]
    play(replicas, steps, until=80.0, seed=seed)


def test_a_lost_replica_is_replaced_within_ten_seconds():
    store = Store()
    replicas = [Replica(name, store, 0.0) for name in ("one", "two")]
    play(replicas, [(30.0, 0, True)], until=30.0 + TAKEOVER_S, seed=1)
    assert replicas[1].decides(30.0 + TAKEOVER_S) == frozenset(range(COUNT))


def test_what_cannot_be_renewed_is_given_up_before_others_take_it():
    board = Board("me", COUNT, holders=dict.fromkeys(range(COUNT), "me"))
    board.renewed(100.0)
    board.reclaimed(frozenset())
    assert board.may_decide(100.0 + GIVE_UP_S - 0.01)
    assert not board.may_decide(100.0 + GIVE_UP_S)
    other = Board("other", COUNT, holders=dict.fromkeys(range(COUNT), "me"))
    other.saw_member("me", "1", 100.0)
    other.renewed(100.0 + EXPIRE_S - 0.1)
    other.reclaimed(frozenset())
    other.members["me"].seen_at = 100.0
    assert other.plan(100.0 + EXPIRE_S - 0.01).take == ()
    assert other.plan(100.0 + EXPIRE_S).take == tuple(range(COUNT))


def test_after_a_silence_of_the_server_all_are_given_time_to_be_heard():
    board = Board("me", COUNT, holders=dict.fromkeys(range(COUNT), "other"))
    board.renewed(100.0)
    board.saw_member("other", "1", 100.0)
    board.renewed(130.0)
    board.reclaimed(frozenset())
    assert board.plan(130.1).take == ()
    assert board.plan(130.0 + EXPIRE_S - 3).take == ()


@pytest.mark.parametrize("count", [1, 4, 8, 64])
def test_shares_are_even_and_few_move(count):
    names = [f"autoscaler-{number}_10.0.0.{number}:8080" for number in range(4)]
    before = assign(names, count)
    load = Counter(before)
    assert max(load.values()) - min([load[name] for name in names]) <= max(1, count // 4)
    assert max(load.values()) <= -(-count // 4)
    after = assign(names[:3], count)
    moved = sum(1 for was, now in zip(before, after, strict=True) if was != now)
    assert moved <= count // 2 + 1
    assert assign(list(reversed(names)), count) == before


def test_who_comes_back_has_its_buckets_only_after_writing_to_them_again():
    board = Board("me", COUNT, holders=dict.fromkeys(range(COUNT), "me"))
    board.renewed(100.0)
    assert not board.may_decide(100.0)
    board.reclaimed(frozenset({1}))
    assert board.may_decide(100.0)
    assert board.held() == {0, 2, 3}
    board.renewed(102.0)
    assert board.may_decide(102.0)
