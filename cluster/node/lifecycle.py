"""What a pod's containers should do next, from what they are doing now.

Pure: observed container states + spec + now -> steps. Init containers run one after the other (those with
restartPolicy Always keep running beside the rest), then all containers at once; ended ones are restarted by the pod's
policy, the first time at once, then after growing pauses. It starts and stops nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tidegate.kube.api import Object

FIRST_BACKOFF_S = 10.0
LAST_BACKOFF_S = 300.0
BACKOFF_RESET_S = 600.0
"""A container that ran this long starts its back-off anew (all three are Kubernetes' values)."""


@dataclass(slots=True)
class Termination:
    """How one run of a container ended; times are Unix seconds."""

    exit_code: int
    signal: int
    reason: str
    message: str
    started_unix_s: float
    finished_unix_s: float


@dataclass(slots=True)
class Container:
    """One container as the node sees it."""

    # Configuration
    name: str
    spec: Object = field(default_factory=dict)
    is_init: bool = False

    # Of the present run
    state: str = "waiting"
    """waiting, starting, running, stopping or terminated"""
    reason: str = "ContainerCreating"
    message: str = ""
    started_unix_s: float = 0.0
    started: bool = False
    """the startup probe has succeeded (or there is none) and postStart has ended"""
    ready: bool = False
    run_id: str = ""

    # Across runs
    restarts: int = 0
    last: Termination | None = None
    previous: Termination | None = None
    backoff_s: float = 0.0
    not_before: float = 0.0
    """monotonic time before which it is not started again"""

    @property
    def is_sidecar(self) -> bool:
        """Whether it is an init container that keeps running."""
        return self.is_init and self.spec.get("restartPolicy") == "Always"

    @property
    def is_alive(self) -> bool:
        """Whether there is, or may be, a process."""
        return self.state in ("starting", "running", "stopping")


@dataclass(frozen=True, slots=True)
class Start:
    """Start this container now."""

    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop this container's process group."""

    name: str


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Nothing to do before monotonic time `at`."""

    at: float


Step = Start | Stop | LookAgain


def containers_of(spec: Object) -> list[Container]:
    """Return the containers of a pod spec, init containers first, none started yet."""
    found = [Container(one["name"], one, is_init=True) for one in spec.get("initContainers") or []]
    found += [Container(one["name"], one) for one in spec.get("containers") or []]
    for container in found:
        if not container.is_init and spec.get("initContainers"):
            container.reason = "PodInitializing"
    return found


def plan(containers: list[Container], restart_policy: str, *, stopping: bool, now: float) -> list[Step]:
    """Return the steps to take now; `now` is monotonic seconds."""
    if stopping:
        return _plan_stop(containers)
    steps: list[Step] = []
    for container in (one for one in containers if one.is_init):
        done = _plan_init(container, restart_policy, now, steps)
        if not done:
            return _merged(steps)
    for container in (one for one in containers if not one.is_init):
        if may_restart(container, restart_policy):
            _plan_start(container, now, steps)
    if is_over(containers, restart_policy):
        steps += [Stop(one.name) for one in containers if one.is_sidecar and one.state == "running"]
    return _merged(steps)


def _plan_stop(containers: list[Container]) -> list[Step]:
    main = [Stop(one.name) for one in containers if not one.is_sidecar and one.state == "running"]
    if main or any(one.is_alive for one in containers if not one.is_sidecar):
        return list(main)
    # Sidecars go after the containers that lean on them.
    return [Stop(one.name) for one in containers if one.is_sidecar and one.state == "running"]


def _plan_init(container: Container, restart_policy: str, now: float, steps: list[Step]) -> bool:
    """Add the step an init container needs; return whether the next one may go on."""
    if container.is_sidecar:
        _plan_start(container, now, steps)
        return container.state == "running" and container.started
    if container.state == "terminated" and container.last and container.last.exit_code == 0:
        return True
    if container.state == "waiting" or restart_policy != "Never":
        _plan_start(container, now, steps)
    return False


def _plan_start(container: Container, now: float, steps: list[Step]) -> None:
    if container.state not in ("waiting", "terminated"):
        return
    steps.append(LookAgain(container.not_before) if now < container.not_before else Start(container.name))


def may_restart(container: Container, restart_policy: str) -> bool:
    """Whether a container that is not running is (or may become) due to be started."""
    if container.state != "terminated" or container.is_sidecar:
        return True
    failed = container.last is not None and container.last.exit_code != 0
    return restart_policy == "Always" or (restart_policy == "OnFailure" and failed)


def is_over(containers: list[Container], restart_policy: str) -> bool:
    """Whether the pod has run its course: every main container ended for good, or an init container failed for good."""
    for one in containers:
        failed = one.state == "terminated" and one.last is not None and one.last.exit_code != 0
        if one.is_init and not one.is_sidecar and failed and restart_policy == "Never":
            return True
    main = [one for one in containers if not one.is_init]
    return all(one.state == "terminated" and not may_restart(one, restart_policy) for one in main)


def phase(containers: list[Container], restart_policy: str) -> str:
    """Return the pod's phase."""
    inits = [one for one in containers if one.is_init and not one.is_sidecar]
    main = [one for one in containers if not one.is_init]
    if is_over(containers, restart_policy):
        failed = any(one.last is None or one.last.exit_code != 0 for one in [*inits, *main])
        return "Failed" if failed else "Succeeded"
    if any(not (one.last and one.last.exit_code == 0) for one in inits):
        return "Pending"
    # A container that ran before and waits for its restart keeps the pod Running.
    if all(one.state in ("running", "stopping", "terminated") or one.restarts or one.last for one in main):
        return "Running"
    return "Pending"


def ended(container: Container, termination: Termination, now: float) -> None:
    """Note that a container's process has ended; sets when it may start again. `now` is monotonic seconds."""
    ran_s = termination.finished_unix_s - termination.started_unix_s
    container.previous = container.last
    container.last = termination
    container.state = "terminated"
    container.started = container.ready = False
    if ran_s >= BACKOFF_RESET_S:
        container.backoff_s = 0.0
    container.not_before = now + container.backoff_s
    container.backoff_s = min(max(FIRST_BACKOFF_S, container.backoff_s * 2), LAST_BACKOFF_S)


def refused(container: Container, reason: str, message: str, retry_s: float, now: float) -> None:
    """Note that a container cannot be started now; try again in `retry_s` seconds."""
    container.state = "waiting"
    container.reason, container.message = reason, message
    container.not_before = now + retry_s


def _merged(steps: list[Step]) -> list[Step]:
    """Keep only the earliest LookAgain."""
    times = [step.at for step in steps if isinstance(step, LookAgain)]
    others: list[Any] = [step for step in steps if not isinstance(step, LookAgain)]
    return [*others, LookAgain(min(times))] if times else others
