"""What a decision takes and leaves: the observation, the memory between turns, and the step from rule to rule.

Plain frozen values, structs as a turn makes a dozen of them. Nothing here decides, and nothing here knows a clock, a
network or Kubernetes.
"""

from __future__ import annotations

import math

import msgspec
from msgspec.structs import replace

from tidegate.contracts.decision import Activity, Because, ServingMode

NO_OPINION = -1
PODS_MAX = 2**31 - 1
LOAD_MAX = 1e15
NOW_MAX = 1e12


class Observation(msgspec.Struct, frozen=True):
    """What is seen of one revision at one moment.

    `stable_value` and `panic_value` are averages over the two windows (requests in flight, or requests per second);
    None: no data. `other_*`: the same of the second metric, where the spec names one. `waiting`: requests that an
    activator holds right now. `current_scale`: replicas asked of the Deployment. `starting_pods`: pods that are not
    ready and young enough to become so. `start_s`: what a start of this revision takes, measured; 0 is unknown.
    `prewarm_pods`: pods that the idle-time histogram wants kept (see `prewarm`).
    """

    namespace: str = ""
    revision: str = ""
    unix_s: float = 0.0
    stable_value: float | None = None
    panic_value: float | None = None
    other_stable_value: float | None = None
    other_panic_value: float | None = None
    waiting: int = 0
    ready_pods: int = 0
    not_ready_pods: int = 0
    starting_pods: int = 0
    start_s: float = 0.0
    current_scale: int = 0
    prewarm_pods: int = 0
    is_poked: bool = False


class Memory(msgspec.Struct, frozen=True):
    """What one turn leaves for the next. A process that starts anew begins with `fresh` or `restored`.

    `wanted`: the last number of pods that load asked for; `lowered_at`: when it fell last. `delayed`: (two-second
    bucket, pods) pairs of the scale-down delay, pods strictly falling. `surge_at`, `surge_pods`: when pods began to
    start, and how many there were then. `loaded_at`: when load last asked for a pod (kept for the last pod's delay
    only). Times are seconds on the clock of `now`.
    """

    began_at: float
    is_restored: bool = False
    wanted: int = NO_OPINION
    lowered_at: float | None = None
    panic_at: float | None = None
    panic_pods: int = 0
    delayed: tuple[tuple[int, int], ...] = ()
    surge_at: float | None = None
    surge_pods: int = 0
    loaded_at: float | None = None
    excess_burst_capacity: int | None = None
    activity: Activity = Activity.ACTIVATING
    activity_reason: str = ""
    activity_since: float = 0.0
    is_initialized: bool = False
    serving_mode: ServingMode | None = None
    proxy_since: float | None = None


class Step(msgspec.Struct, frozen=True):
    """The number of pods after a rule, and the last rule that changed it."""

    pods: int
    because: Because

    def to(self, pods: int, because: Because) -> Step:
        """Return the step with `pods`, keeping the reason where the number did not change."""
        return self if pods == self.pods else Step(pods, because)


def sane(seen: Observation) -> Observation:
    """Return the observation with impossible numbers made harmless.

    What is not a number is no data, a negative number is 0, and what is too large is the largest a rule computes with.
    """
    counts = (seen.waiting, seen.ready_pods, seen.not_ready_pods, seen.starting_pods, seen.current_scale)
    values = (seen.stable_value, seen.panic_value, seen.other_stable_value, seen.other_panic_value, seen.start_s)
    is_sane = all(0 <= count <= PODS_MAX for count in counts) and 0 <= seen.prewarm_pods <= PODS_MAX
    if is_sane and all(value is None or 0 <= value <= LOAD_MAX for value in values):
        return seen
    return replace(
        seen,
        stable_value=_sane_load(seen.stable_value),
        panic_value=_sane_load(seen.panic_value),
        other_stable_value=_sane_load(seen.other_stable_value),
        other_panic_value=_sane_load(seen.other_panic_value),
        waiting=_sane_count(seen.waiting),
        ready_pods=_sane_count(seen.ready_pods),
        not_ready_pods=_sane_count(seen.not_ready_pods),
        starting_pods=_sane_count(seen.starting_pods),
        start_s=_sane_load(seen.start_s) or 0.0,
        current_scale=_sane_count(seen.current_scale),
        prewarm_pods=_sane_count(seen.prewarm_pods),
    )


def sane_now(now: float) -> float:
    """Return `now` as a finite number; no monotonic clock shows anything else."""
    return min(max(now, -NOW_MAX), NOW_MAX) if math.isfinite(now) else 0.0


def _sane_load(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else min(max(value, 0.0), LOAD_MAX)


def _sane_count(count: int) -> int:
    return min(max(count, 0), PODS_MAX)


def fresh(now: float) -> Memory:
    """Return the memory of a revision that no autoscaler has seen before."""
    return Memory(began_at=now, activity_since=now)


def restored(
    now: float,
    *,
    activity: Activity,
    activity_age_s: float,
    is_initialized: bool,
    serving_mode: ServingMode | None,
    wanted: int = NO_OPINION,
) -> Memory:
    """Return the memory of a revision another process has decided for: what its status tells, windows empty.

    How long the activator has been in the path is not in the status; the grace period starts over.
    """
    return Memory(
        began_at=now,
        is_restored=True,
        wanted=wanted,
        activity=activity,
        activity_since=now - max(0.0, activity_age_s),
        is_initialized=is_initialized,
        serving_mode=serving_mode,
        proxy_since=now if serving_mode == ServingMode.PROXY else None,
    )
