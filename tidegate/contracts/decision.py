"""One scaling decision as data: what went in, what came out of each step, which limit applied.

The autoscaler produces it, `tidegate why` prints it, tests compare it. `reason` codes are a closed list (`Because`).
"""

from __future__ import annotations

import enum

import msgspec


class ServingMode(enum.StrEnum):
    """Where the gateway sends a revision's requests: straight to pods, or through the activator."""

    SERVE = "Serve"
    PROXY = "Proxy"


class Activity(enum.StrEnum):
    """Whether a revision takes traffic: the Active condition of its PodAutoscaler (Unknown, True, False)."""

    ACTIVATING = "Activating"
    ACTIVE = "Active"
    INACTIVE = "Inactive"


class Because(enum.StrEnum):
    """What decided the number of pods, in the order the rules are applied; the last rule that changed it wins."""

    NO_DATA = "no_data"  # no opinion: the current scale stays
    LOAD = "load"
    PANIC = "panic"
    SCALE_UP_RATE = "scale_up_rate"
    SCALE_DOWN_RATE = "scale_down_rate"
    ACTIVATION_SCALE = "activation_scale"
    START_TIME = "start_time"
    SCALE_DOWN_DELAY = "scale_down_delay"
    LAST_POD_DELAY = "last_pod_delay"
    WINDOW_NOT_FULL = "window_not_full"
    MIN_SCALE = "min_scale"
    INITIAL_SCALE = "initial_scale"
    MAX_SCALE = "max_scale"
    SCHEDULE = "schedule"
    PREWARM = "prewarm"
    WAITING_REQUEST = "waiting_request"
    ACTIVATING = "activating"
    ACTIVATION_FAILED = "activation_failed"
    SCALE_TO_ZERO_DISABLED = "scale_to_zero_disabled"
    ZERO_STABLE_WINDOW = "zero_stable_window"
    ZERO_GRACE = "zero_grace"
    POD_RETENTION = "pod_retention"
    IDLE = "idle"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one turn for one revision.

    `desired`: replicas to ask for; -1 is "no opinion, leave the scale alone"; where `is_applied` is false it is only
    announced and the pods stay (the zero grace). Load values are requests in flight (or requests per second when
    `metric` is `rps`), averaged over the stable and panic windows. `target`: per replica, utilization applied; `total`:
    the same without utilization. `excess_burst_capacity`: requests; negative keeps the activator in the path.
    `waiting`: requests that an activator holds. `next_change_s`: seconds until a rule that holds the scale now lets go,
    -1 when none does. With several metrics `metric`, the values, `target` and `total` are those of the one that asked
    for most. `starting_pods`: pods that are not ready yet and young enough to become so; `start_s`: seconds that a
    start takes, measured (0: unknown). `activators`: how many should stand in the path when any does.
    `unix_s` is wall-clock for people; nothing computes with it.
    """

    namespace: str
    revision: str
    unix_s: float
    desired: int
    because: Because
    sentence: str
    metric: str
    stable_value: float
    panic_value: float
    target: float
    total: float
    ready_pods: int
    not_ready_pods: int
    current_scale: int
    stable_pods: int
    panic_pods: int
    is_panicking: bool
    min_scale: int
    max_scale: int
    max_scale_up: int
    max_scale_down: int
    excess_burst_capacity: int
    serving_mode: ServingMode
    is_poked: bool = False
    patched_unix_s: float = 0.0
    next_change: str = ""
    next_change_s: float = -1.0
    is_applied: bool = True
    waiting: int = 0
    activity: Activity = Activity.ACTIVATING
    activity_reason: str = ""
    is_initialized: bool = False
    starting_pods: int = 0
    start_s: float = 0.0
    activators: int = 2
