"""What a decision takes and leaves: the observation, the memory between turns, and the step from rule to rule.

Plain frozen values. Nothing here decides, and nothing here knows a clock, a network or Kubernetes.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.contracts.decision import Activity, Because, ServingMode

NO_OPINION = -1
PODS_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Observation:
    """What is seen of one revision at one moment.

    `stable_value` and `panic_value` are averages over the two windows (requests in flight, or requests per second);
    None: no data. `waiting`: requests that an activator holds right now. `current_scale`: replicas asked of the
    Deployment.
    """

    namespace: str = ""
    revision: str = ""
    unix_s: float = 0.0
    stable_value: float | None = None
    panic_value: float | None = None
    waiting: int = 0
    ready_pods: int = 0
    not_ready_pods: int = 0
    current_scale: int = 0
    is_poked: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """What one turn leaves for the next. A process that starts anew begins with `fresh` or `restored`.

    `wanted`: the last number of pods that load asked for; `lowered_at`: when it fell last. `delayed`: (two-second
    bucket, pods) pairs of the scale-down delay, pods strictly falling. Times are seconds on the clock of `now`.
    """

    began_at: float
    is_restored: bool = False
    wanted: int = NO_OPINION
    lowered_at: float | None = None
    panic_at: float | None = None
    panic_pods: int = 0
    delayed: tuple[tuple[int, int], ...] = ()
    excess_burst_capacity: int | None = None
    activity: Activity = Activity.ACTIVATING
    activity_reason: str = ""
    activity_since: float = 0.0
    is_initialized: bool = False
    serving_mode: ServingMode | None = None
    proxy_since: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The number of pods after a rule, and the last rule that changed it."""

    pods: int
    because: Because

    def to(self, pods: int, because: Because) -> Step:
        """Return the step with `pods`, keeping the reason where the number did not change."""
        return self if pods == self.pods else Step(pods, because)


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
