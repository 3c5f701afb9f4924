"""The cold starts that somebody pays now: one record per wake, from the first held request to its first byte.

The request that was first held while its revision had no pod carries the record; when it leaves before its answer
began, the next one that waits carries it. At the answer's head the record is cut into phases, counted, told to the
autoscaler and, unless the revision or the operator does not want it, written on that answer. It holds nobody and
decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from activator.metrics import Metrics
from tidegate.contracts import wake
from tidegate.wire.balance import Address

Key = tuple[str, str]

STARTS_LIMIT = 16
"""Pods of one wake whose starts are kept until it is over."""


class Wakening:
    """One wake under way."""

    __slots__ = ("key", "marks", "pod", "starts", "writes_header")

    def __init__(self, key: Key, arrived: float, *, writes_header: bool) -> None:
        self.key = key
        self.marks = wake.Marks(arrived)
        self.writes_header = writes_header
        self.pod: Address | None = None
        self.starts: dict[Address, tuple[wake.Start, float]] = {}

    @property
    def is_open(self) -> bool:
        """Whether its answer has not begun."""
        return self.marks.answered is None

    def seated(self, pod: Address, now: float) -> bool:
        """Note the pod that the request got; returns whether its start is not told yet."""
        self.pod = pod
        self.marks.seated = now
        return pod not in self.starts


class Wakes:
    """The wakes of this activator. `tell` sends a finished one to the autoscaler."""

    def __init__(self, metrics: Metrics, tell: Callable[[wake.Wake], None], clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._tell = tell
        self._clock = clock
        self._open: dict[Key, Wakening] = {}
        self.writes_header = True
        """Whether answers carry their wake at all: the operator's word, before the revision's."""

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, key: Key, arrived: float, *, writes_header: bool) -> Wakening | None:
        """Begin a wake with this request; None when the revision has one already."""
        if key in self._open:
            return None
        found = self._open[key] = Wakening(key, arrived, writes_header=writes_header and self.writes_header)
        return found

    def hand_over(self, left: Wakening, arrived: float) -> Wakening:
        """Let a request that still waits carry the record of one that left."""
        successor = Wakening(left.key, arrived, writes_header=left.writes_header)
        marks = successor.marks
        marks.asked, marks.scaled, successor.starts = left.marks.asked, left.marks.scaled, left.starts
        self._open[left.key] = successor
        return successor

    def give_up(self, left: Wakening) -> None:
        """Forget a wake that nobody waits for any more."""
        if self._open.get(left.key) is left:
            del self._open[left.key]

    def asked(self, key: Key, now: float) -> None:
        """The autoscaler was told that somebody waits."""
        found = self._open.get(key)
        if found is not None and found.marks.asked is None:
            found.marks.asked = now

    def scaled(self, key: Key) -> None:
        """The autoscaler says that it has asked for a pod."""
        found = self._open.get(key)
        if found is not None and found.marks.scaled is None:
            found.marks.scaled = self._clock()

    def started(self, key: Key, pod: Address, told: bytes) -> None:
        """A pod answered our probe and told how it started."""
        found = self._open.get(key)
        start = wake.decode_start(told) if found is not None and told else None
        if found is not None and start is not None and len(found.starts) < STARTS_LIMIT:
            found.starts[pod] = (start, self._clock())

    def answered(self, found: Wakening) -> bytes:
        """End a wake: the answer of its request begins now. Returns the header line for it, if it is to have one."""
        self.give_up(found)
        found.marks.answered = self._clock()
        record = _record(found)
        self._metrics.woke(record)
        self._tell(record)
        return wake.server_timing(record) if found.writes_header else b""


def _record(found: Wakening) -> wake.Wake:
    start, told_at = wake.NOTHING_TOLD, None
    if found.pod in found.starts:
        start, told_at = found.starts[found.pod]
    pod = start.pod or (found.pod[0] if found.pod is not None else "")
    return wake.Wake(*found.key, pod, start.way, wake.stretches(found.marks, start, told_at))
