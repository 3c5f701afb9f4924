"""Which reports count: the rules by which stale, duplicated, replayed and out-of-order ones are dropped.

1. Every connection is a session, with a number drawn at random. A session that has ended never speaks again: its number
   is remembered, so a recorded connection cannot be played back.
2. A pod has one session for a revision. A newer one replaces it, so a connection that died unnoticed counts no more.
3. Within a session sequence numbers rise. What does not rise is a duplicate or out of order.
4. A report tells the seconds since its Hello by the sender's clock. Held against our own, that shows how long it was on
   the way; only differences count, and a slow drift of the two clocks is forgiven. More than `STALE_S` behind the
   fastest report of its session is stale.

Pure: `now` is monotonic seconds. Nothing here knows sockets or what a report measures.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Hashable

STALE_S = 3.0
DRIFT = 0.001
"""Seconds per second by which two clocks may drift apart: a hundred times what crystals do."""
ENDED_LIMIT = 65_536


class Verdict(enum.StrEnum):
    """What becomes of a report; also the label that counts it."""

    TAKEN = "taken"
    REPEATED = "repeated"
    STALE = "stale"


class Session:
    """One connection of one pod."""

    __slots__ = ("_began_at", "_heard_at", "_least_lag_s", "_sequence", "is_over", "number")

    def __init__(self, number: str, now: float) -> None:
        self.number = number
        self.is_over = False
        self._sequence = -1
        self._began_at = now
        self._heard_at = now
        self._least_lag_s = float("inf")

    def judge(self, sequence: int, session_s: float, now: float) -> Verdict:
        """Say whether a report counts, and remember it when it does."""
        if sequence <= self._sequence:
            return Verdict.REPEATED
        self._sequence = sequence
        if session_s <= 0:
            return Verdict.TAKEN
        lag_s = now - self._began_at - session_s
        least_s = self._least_lag_s + DRIFT * (now - self._heard_at)
        self._heard_at = now
        if lag_s < least_s:
            self._least_lag_s = lag_s
            return Verdict.TAKEN
        self._least_lag_s = least_s
        return Verdict.STALE if lag_s - least_s > STALE_S else Verdict.TAKEN


class Sessions:
    """All sessions that are open, by who speaks, and the numbers of those that have ended."""

    def __init__(self, ended_limit: int = ENDED_LIMIT) -> None:
        self._ended_limit = ended_limit
        self._open: dict[Hashable, Session] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()

    def begin(self, who: Hashable, number: str, now: float) -> Session | None:
        """Return the session that begins, None when its number was used before; one that `who` had is over.

        An empty number (an older peer) is never a repetition.
        """
        before = self._open.get(who)
        if number and (number in self._ended or (before is not None and before.number == number)):
            return None
        if before is not None:
            self._remember(before)
        session = self._open[who] = Session(number, now)
        return session

    def end(self, who: Hashable, session: Session) -> None:
        """The session is over; one that has replaced it stays."""
        if self._open.get(who) is session:
            del self._open[who]
            self._remember(session)

    def _remember(self, session: Session) -> None:
        session.is_over = True
        if not session.number:
            return
        self._ended[session.number] = None
        while len(self._ended) > self._ended_limit:
            self._ended.popitem(last=False)
