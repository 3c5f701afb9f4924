"""The turn of a revision: read this first.

    gather → decide → explain → publish

A turn comes every two seconds, when pods or settings change, and at once on a poke (the first request of a revision
that has no pod). Only `gather` looks at the world and only `publish` touches it. Load is recorded every second, in the
middle of the second, so that a late timer neither skips a bucket nor fills one twice.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter, deque
from collections.abc import Callable

import msgspec

from autoscaler import explain, status
from autoscaler.decide import decide
from autoscaler.demand import Demand, Key
from autoscaler.publish import Publisher
from autoscaler.state import Memory, Observation
from autoscaler.watch import World
from tidegate.contracts import autoscaling
from tidegate.contracts.autoscaling import KPA_CLASS, ScalingSpec
from tidegate.contracts.decision import Activity, Because, Decision
from tidegate.kube.api import Api, Object, annotations_of

log = logging.getLogger(__name__)

DECIDE_S = 2.0
RING_LENGTH = 100
BREATH = 200
"""Turns between two chances for a poke to be heard."""

Clock = Callable[[], float]


class Revision:
    """One revision under our care."""

    __slots__ = ("decision", "key", "memory", "ring", "spec", "uid")

    def __init__(self, key: Key, uid: str, spec: ScalingSpec, memory: Memory) -> None:
        self.key = key
        self.uid = uid
        self.spec = spec
        self.memory = memory
        self.decision: Decision | None = None
        self.ring: deque[Decision] = deque(maxlen=RING_LENGTH)


class Loop:
    """All revisions. `clock` is monotonic seconds, `unix_clock` seconds since 1970 (for people only)."""

    def __init__(self, api: Api, world: World, demand: Demand, clock: Clock, unix_clock: Clock) -> None:
        self.world = world
        self.demand = demand
        self.revisions: dict[Key, Revision] = {}
        self.counts: Counter[Because] = Counter()
        self.is_ours: Callable[[Key], bool] = lambda _key: True
        """Whether this replica decides for a revision, and whether it may now: set where there are several."""
        self.may_decide: Callable[[], bool] = lambda: True
        self.publisher = Publisher(api, world, unix_clock, self._patched)
        self._clock = clock
        self._unix_clock = unix_clock
        self._decided_at = -DECIDE_S
        self._dirty: set[Key] = set()
        world.on_autoscaler = self._autoscaler_changed
        world.on_pods = self._mark
        world.on_deployment = self._deployment_changed
        world.on_config = self._config_changed

    async def run(self) -> None:
        """Record every second and decide every two, until cancelled."""
        while True:
            now = self._clock()
            await asyncio.sleep(math.floor(now + 0.5) + 0.5 - now)
            await self.tick(self._clock())

    async def tick(self, now: float) -> None:
        """Record a second of load; every second time, take a turn of every revision that is awake."""
        self.demand.record(now)
        if now - self._decided_at < DECIDE_S - 0.5:
            return
        self._decided_at = now
        if not self.may_decide():
            return
        self._turn_dirty()
        for number, revision in enumerate(list(self.revisions.values()), 1):
            if not self._is_asleep(revision):
                self._try_turn(revision, self._clock())
            if number % BREATH == 0:
                await asyncio.sleep(0)

    def poke(self, key: Key) -> None:
        """Requests wait for a revision: take its turn now, unless pods are there or enough of them are asked for."""
        revision = self.revisions.get(key)
        if revision is None or not self.may_decide():
            return
        now, memory = self._clock(), revision.memory
        is_zero = memory.activity is Activity.INACTIVE or not self.world.pods(key).ready
        is_more = self.demand.waiting(key, now) > memory.wanted * revision.spec.target
        if is_zero and (memory.wanted <= 0 or is_more):
            self._try_turn(revision, now, is_poked=True)

    def _try_turn(self, revision: Revision, now: float, *, is_poked: bool = False) -> None:
        """One revision that cannot be handled must not keep the others waiting."""
        try:
            self.turn(revision, now, is_poked=is_poked)
        except Exception:
            log.exception("the turn of %s/%s failed", *revision.key)

    def turn(self, revision: Revision, now: float, *, is_poked: bool = False) -> None:
        """Gather, decide, explain, publish."""
        autoscaler = self.world.autoscaler(revision.key)
        if autoscaler is None or autoscaler["metadata"].get("deletionTimestamp"):
            return
        seen = self._gather(revision, autoscaler, now, is_poked)
        decision, revision.memory = decide(revision.spec, seen, revision.memory, now)
        decision = explain.explain(decision)
        self._keep(revision, decision)
        self.publisher.publish(revision.key, decision)

    def _gather(self, revision: Revision, autoscaler: Object, now: float, is_poked: bool) -> Observation:
        namespace, name = revision.key
        averages = self.demand.averages(revision.key, revision.spec.metric, now)
        pods = self.world.pods(revision.key)
        return Observation(
            namespace=namespace,
            revision=name,
            unix_s=self._unix_clock(),
            stable_value=averages[0] if averages else None,
            panic_value=averages[1] if averages else None,
            waiting=max(self.demand.waiting(revision.key, now), 1 if is_poked else 0),
            ready_pods=pods.ready,
            not_ready_pods=pods.not_ready,
            current_scale=self.publisher.scale(revision.key, autoscaler) or 0,
            is_poked=is_poked,
        )

    def _keep(self, revision: Revision, decision: Decision) -> None:
        """Count every decision; remember those that say something new, and refresh the latest otherwise."""
        self.counts[decision.because] += 1
        before, revision.decision = revision.decision, decision
        if before is not None and revision.ring and _is_alike(before, decision):
            patched = msgspec.structs.replace(decision, patched_unix_s=before.patched_unix_s, is_poked=before.is_poked)
            revision.ring[-1] = revision.decision = patched
        else:
            revision.ring.append(decision)

    def _patched(self, decision: Decision, unix_s: float) -> None:
        """Note when a decision's scale was written, in the newest entry that asked for it."""
        revision = self.revisions.get((decision.namespace, decision.revision))
        if revision is None:
            return
        for index in range(len(revision.ring) - 1, -1, -1):
            entry = revision.ring[index]
            if entry.desired == decision.desired and not entry.patched_unix_s:
                revision.ring[index] = msgspec.structs.replace(entry, patched_unix_s=unix_s)
                return

    def _is_asleep(self, revision: Revision) -> bool:
        """Whether a turn could change nothing: at zero, inactive, told, and nobody reports."""
        decision = revision.decision
        return (
            decision is not None
            and decision.activity is Activity.INACTIVE
            and decision.desired <= 0
            and decision.current_scale == 0
            and decision.ready_pods == 0
            and decision.not_ready_pods == 0
            and self.demand.is_silent(revision.key)
        )

    # What the world tells

    def shares_changed(self) -> None:
        """Begin with revisions that are ours now, leave those that are another's."""
        for key in self.world.autoscaler_keys():
            if self.is_ours(key) != (key in self.revisions):
                self._autoscaler_changed(key)

    def _autoscaler_changed(self, key: Key) -> None:
        autoscaler = self.world.autoscaler(key) if self.is_ours(key) else None
        config = self.world.config
        if autoscaler is None or autoscaling.class_of(annotations_of(autoscaler), config) != KPA_CLASS:
            self._drop(key)
            return
        uid = autoscaler["metadata"].get("uid", "")
        revision = self.revisions.get(key)
        if revision is not None and revision.uid != uid:
            self._drop(key)
            revision = None
        spec = self._spec_of(autoscaler)
        if revision is None:
            memory = status.memory_of(autoscaler, self._clock(), self._unix_clock())
            revision = self.revisions[key] = Revision(key, uid, spec, memory)
        revision.spec = spec
        self.demand.configure(key, spec)
        self._mark(key)

    def _spec_of(self, autoscaler: Object) -> ScalingSpec:
        wishes = autoscaler.get("spec") or {}
        deployment = self.world.deployment(autoscaler) or {}
        deadline_s = (deployment.get("spec") or {}).get("progressDeadlineSeconds")
        return autoscaling.resolve_spec(
            annotations_of(autoscaler),
            int(wishes.get("containerConcurrency") or 0),
            self.world.config,
            str(wishes.get("reachability") or ""),
            progress_deadline_s=float(deadline_s or autoscaling.DEFAULT_PROGRESS_DEADLINE_S),
        )

    def _config_changed(self) -> None:
        log.info("config-autoscaler changed: %s", self.world.config)
        for key in self.world.autoscaler_keys():
            self._autoscaler_changed(key)

    def _deployment_changed(self, key: Key) -> None:
        self.publisher.deployment_changed(key)
        revision, autoscaler = self.revisions.get(key), self.world.autoscaler(key)
        if revision is not None and autoscaler is not None:
            revision.spec = self._spec_of(autoscaler)  # it carries the progress deadline
            self._mark(key)

    def _drop(self, key: Key) -> None:
        if self.revisions.pop(key, None) is not None:
            self.demand.forget(key)
            self.publisher.forget(key)

    def _mark(self, key: Key) -> None:
        """Take a turn of this revision soon; several changes of one moment make one turn."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._turn_dirty)
        self._dirty.add(key)

    def _turn_dirty(self) -> None:
        if not self.may_decide():
            return  # they stay marked, and a tick comes back to them
        keys, self._dirty = self._dirty, set()
        now = self._clock()
        for key in keys:
            revision = self.revisions.get(key)
            if revision is not None and self.world.is_synced:
                self._try_turn(revision, now)


def _is_alike(one: Decision, other: Decision) -> bool:
    """Whether two decisions say the same to a reader: same number, reason and circumstances."""
    return (
        one.desired == other.desired
        and one.because is other.because
        and one.is_applied == other.is_applied
        and one.ready_pods == other.ready_pods
        and one.current_scale == other.current_scale
        and one.is_panicking == other.is_panicking
        and one.serving_mode is other.serving_mode
        and one.activity is other.activity
        and not other.is_poked
    )
