"""Which Events are written anew, which are counted on one that exists, and which are left out.

The rules are those of Kubernetes' own clients: the same words again only count up; of many similar ones (same object,
same reason) within ten minutes the first ten stand alone and the rest are counted together; and an object may cause so
many in a burst, then one in a while. Pure: `now` is monotonic seconds. Memory is bounded: the objects heard of longest
ago are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

SIMILAR_S = 600.0
SIMILAR_LIMIT = 10
BURST = 25
REFILL_S = 30.0
SUBJECTS_LIMIT = 4096
TOGETHER = "(the newest of several) "


@dataclass(slots=True)
class Series:
    """One Event object that exists: its name (empty until written), and how often it was told."""

    message: str
    told_at: float
    count: int = 1
    name: str = ""


@dataclass(slots=True)
class _Reason:
    singles: list[Series] = field(default_factory=list)
    together: Series | None = None


@dataclass(slots=True)
class _Subject:
    tokens: float
    at: float
    reasons: dict[str, _Reason] = field(default_factory=dict)


class EventRules:
    """Remembers what was told of which object."""

    def __init__(self) -> None:
        self._subjects: OrderedDict[str, _Subject] = OrderedDict()

    def judge(self, subject: str, reason: str, message: str, now: float) -> Series | None:
        """Return the series that an Event belongs to, None where it is left out.

        A series with `count` 1 is new and to be created; with a higher one its object is to be patched.
        """
        known = self._subject(subject, now)
        if known.tokens < 1:
            return None
        known.tokens -= 1
        told = known.reasons.setdefault(reason, _Reason())
        told.singles = [one for one in told.singles if now - one.told_at < SIMILAR_S]
        if told.together is not None and now - told.together.told_at >= SIMILAR_S:
            told.together = None
        same = next((one for one in told.singles if one.message == message), None)
        if same is not None:
            return _again(same, message, now)
        if len(told.singles) < SIMILAR_LIMIT:
            told.singles.append(Series(message, now))
            return told.singles[-1]
        if told.together is not None:
            return _again(told.together, TOGETHER + message, now)
        told.together = Series(TOGETHER + message, now)
        return told.together

    def _subject(self, subject: str, now: float) -> _Subject:
        known = self._subjects.pop(subject, None) or _Subject(float(BURST), now)
        self._subjects[subject] = known
        if len(self._subjects) > SUBJECTS_LIMIT:
            self._subjects.popitem(last=False)
        known.tokens = min(float(BURST), known.tokens + (now - known.at) / REFILL_S)
        known.at = now
        return known


def _again(series: Series, message: str, now: float) -> Series:
    series.count += 1
    series.message, series.told_at = message, now
    return series
