"""One leader among replicas by a Lease: the rule, without a clock and without an API server.

For components whose replicas would do the same work twice. A Lease has expired when it has not *changed* for its
duration by our own clock, whatever the clock of its holder says; a holder that could not renew in time stops before
anybody else may take over.

    RETRY_S 2  <  GIVE_UP_S 6 (we stop)  <  EXPIRE_S 9 (others may take over)

The scheme is that of Kubernetes' own components (client-go, tools/leaderelection), with shorter times.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

RETRY_S = 2.0
GIVE_UP_S = 6.0
EXPIRE_S = 9.0


class Step(Enum):
    """What to do with the Lease now."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


@dataclass(slots=True)
class Candidate:
    """What one replica knows: who holds the Lease, since when it has not changed, and when we last renewed it."""

    me: str
    holder: str = ""
    stamp: str = ""
    seen_at: float = float("-inf")
    renewed_at: float = float("-inf")

    def saw(self, lease: dict[str, Any] | None, now: float) -> Step:
        """Return what to do after reading `lease` (None: there is none) at `now` (monotonic seconds)."""
        if lease is None:
            return Step.CREATE
        spec = lease.get("spec") or {}
        self.holder, stamp = str(spec.get("holderIdentity") or ""), str(spec.get("renewTime") or "")
        if stamp != self.stamp or self.seen_at == float("-inf"):
            self.stamp, self.seen_at = stamp, now
        if self.holder == self.me:
            return Step.RENEW
        if not self.holder or now - self.seen_at >= _duration_s(spec):
            return Step.TAKE
        return Step.WAIT

    def renewed(self, began: float) -> None:
        """Our write of the Lease succeeded; `began` is when it was sent, so that we never believe it younger."""
        self.holder, self.renewed_at = self.me, began

    def is_leading(self, now: float) -> bool:
        """Whether we may work: no longer, well before others may take over."""
        return self.holder == self.me and now - self.renewed_at < GIVE_UP_S


def _duration_s(spec: dict[str, Any]) -> float:
    """Return how long a holder's silence must last; a Lease that does not say is given ours."""
    seconds = spec.get("leaseDurationSeconds")
    return float(seconds) if isinstance(seconds, int) and seconds > 0 else EXPIRE_S
