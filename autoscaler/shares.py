"""Who of several replicas decides for which bucket of revisions: the rules, without a clock and without an API server.

Each replica keeps a Lease of its own alive (a member); each bucket has a Lease whose holder decides for it, as long as
that member lives. Taking a bucket is one guarded write, so that two never hold it; a replica that could not renew stops
deciding before anybody else may think it dead. Times are our own observations: a Lease has expired when it has not
*changed* for its duration, whatever the clock of its holder says. One that comes back from such a silence has its
buckets only after it has written to each of them again: another may have taken them, or be about to.

    RENEW_S 2  <  GIVE_UP_S 4 (we stop)  <  EXPIRE_S 6 (others may take over)  <  10 s (promised)
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field

RENEW_S = 2.0
GIVE_UP_S = 4.0
EXPIRE_S = 6.0
POLL_S = 0.5


@dataclass(slots=True)
class Member:
    """A replica as its Lease shows it: `stamp` changes with each renewal, `seen_at` is when we saw it change."""

    stamp: str
    seen_at: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write now: buckets to take, and buckets to hand over with whom to."""

    take: tuple[int, ...] = ()
    give: tuple[tuple[int, str], ...] = ()


@dataclass(slots=True)
class Board:
    """What one replica knows of all. `holders` has the holder of each bucket, empty for nobody."""

    me: str
    count: int
    members: dict[str, Member] = field(default_factory=dict)
    holders: dict[int, str] = field(default_factory=dict)
    renewed_at: float = float("-inf")
    must_reclaim: bool = False
    """Whether what we hold may be another's by now; `reclaimed` ends it."""

    def saw_member(self, name: str, stamp: str, now: float) -> None:
        """A member's Lease shows `stamp`."""
        known = self.members.get(name)
        if known is None or known.stamp != stamp:
            self.members[name] = Member(stamp, now)

    def renewed(self, at: float) -> None:
        """Our own Lease was renewed by a write that began at `at`.

        After a time in which we could not write, perhaps nobody could: all get a whole duration to be heard of again.
        """
        if at - self.renewed_at >= GIVE_UP_S:
            self.must_reclaim = True
            for member in self.members.values():
                member.seen_at = max(member.seen_at, at)
        self.renewed_at = at

    def reclaimed(self, lost: frozenset[int]) -> None:
        """All that we held was written to again, but for what was `lost` to others."""
        self.must_reclaim = False
        for bucket in lost:
            self.holders[bucket] = ""

    def may_decide(self, now: float) -> bool:
        """Whether our Lease is fresh enough that nobody else can think us dead."""
        return not self.must_reclaim and now - self.renewed_at < GIVE_UP_S

    def living(self, now: float) -> list[str]:
        """Return the replicas that are alive, ourselves included."""
        others = {name for name, member in self.members.items() if now - member.seen_at < EXPIRE_S}
        return sorted(others | {self.me})

    def held(self) -> frozenset[int]:
        """Return the buckets that are ours until another takes them; decide for them only while `may_decide`."""
        return frozenset(bucket for bucket, holder in self.holders.items() if holder == self.me)

    def plan(self, now: float) -> Plan:
        """Return what to write now; nothing while our own Lease is not fresh.

        A bucket is taken when it should be ours and its holder is nobody or dead; it is given when it is ours and
        should be another's. A holder that lives keeps what it has until it gives it.
        """
        if not self.may_decide(now):
            return Plan()
        living = self.living(now)
        wanted = assign(living, self.count)
        take, give = [], []
        for bucket in range(self.count):
            holder, owner = self.holders.get(bucket, ""), wanted[bucket]
            if owner == self.me and holder != self.me and holder not in living:
                take.append(bucket)
            elif holder == self.me and owner != self.me:
                give.append((bucket, owner))
        return Plan(tuple(take), tuple(give))


def assign(living: list[str], count: int) -> list[str]:
    """Return who should have each bucket: every replica works it out alike, and few buckets move when one comes or
    goes (each goes to the replica with the highest hash that has room)."""
    room = -(-count // len(living))
    load: Counter[str] = Counter()
    owners = []
    for bucket in range(count):
        ranked = sorted(living, key=lambda name: (zlib.crc32(f"{bucket}/{name}".encode()), name), reverse=True)
        owner = next(name for name in ranked if load[name] < room)
        load[owner] += 1
        owners.append(owner)
    return owners
