"""Who is under our care: revisions that are awake have a slot in the fleet, those that sleep have nothing but objects.

Asleep is who is at zero, says so in its status, and of whom nobody reports; a hundred thousand of them must cost
little. Whatever an event says of a sleeping revision, it is looked at anew, and gets a slot where it does not rest any
more; a report or a poke wakes it in any case. What is remembered of it then is what its status tells. Nothing here
decides, and nothing here writes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from autoscaler import status
from autoscaler.demand import Demand, Key
from autoscaler.publish import Publisher
from autoscaler.spec_memo import SpecMemo
from autoscaler.state import Memory, Observation
from autoscaler.watch import World
from tidegate.contracts import autoscaling, autoscaling_extensions
from tidegate.contracts.autoscaling import KPA_CLASS, ScalingSpec
from tidegate.kube.api import Object, annotations_of

REST_S = 60.0
"""How long a revision is at rest before it gives its slot back."""
REST_LIMIT = 500
"""How many are looked at in one turn."""

Clock = Callable[[], float]


class Roster:
    """All revisions that are ours. `is_ours` and `hand_over` are those of the loop."""

    def __init__(
        self,
        world: World,
        demand: Demand,
        publisher: Publisher,
        clock: Clock,
        unix_clock: Clock,
        is_ours: Callable[[Key], bool],
        hand_over: Callable[[Key], None],
    ) -> None:
        self.starting: set[Key] = set()
        """Revisions with pods on their way."""
        self.schedules: dict[Key, float] = {}
        """When the schedule of a revision says something else, in seconds since 1970."""
        self.here_since = clock()
        """When we began to look at those that sleep: at start, or when shares changed."""
        self._world = world
        self._demand = demand
        self._fleet = demand.fleet
        self._slots = demand.watched
        self._publisher = publisher
        self._clock = clock
        self._unix_clock = unix_clock
        self._is_ours = is_ours
        self._hand_over = hand_over
        self._specs = SpecMemo()
        self._looked_at = 0
        demand.on_stranger = self.wake

    def look_at(self, key: Key, *, is_needed: bool = False) -> bool:
        """Take a revision as its objects are now; returns whether it is awake. `is_needed`: do not let it sleep."""
        autoscaler = self._ours(key)
        if autoscaler is None:
            self.drop(key)
            if self._is_ours(key) and self._world.autoscaler(key) is not None:
                self._hand_over(key)
            return False
        self._hand_over(key)
        spec = self.spec_of(autoscaler)
        if key in self._slots:
            self._demand.configure(key, spec)
        elif not is_needed and self._rests(key, autoscaler, spec):
            return False
        else:
            self._adopt(key, spec, autoscaler)
        self._note_schedule(key, annotations_of(autoscaler))
        return True

    def wake(self, key: Key) -> None:
        """Somebody reports, or waits: give it a slot, unless it is none of ours."""
        if key not in self._slots:
            self.look_at(key, is_needed=True)

    def rest(self, now: float) -> None:
        """Let those go that have been at rest for a while, a few at a time."""
        slots = self._fleet.sound_asleep(now, self._demand.silent_slots(), REST_S)
        begin = self._looked_at if self._looked_at < len(slots) else 0
        self._looked_at = begin + REST_LIMIT
        for slot in slots[begin : begin + REST_LIMIT].tolist():
            key = self._demand.keys[slot]
            autoscaler = self._ours(key) if key is not None else None
            if key is None or autoscaler is None or self._publisher.is_busy(key):
                continue
            if self._rests(key, autoscaler, self._fleet.spec(slot)):
                self.drop(key)

    def drop(self, key: Key) -> None:
        """Give a revision's slot back."""
        if key in self._slots:
            self.schedules.pop(key, None)
            self.starting.discard(key)
            self._demand.forget(key)

    # Those that sleep

    def is_known(self, key: Key) -> bool:
        """Whether a revision is under our care, awake or asleep."""
        return key in self._slots or self._ours(key) is not None

    def asleep(self, limit: int) -> Iterator[tuple[Key, ScalingSpec]]:
        """Yield at most `limit` revisions that sleep, and what they are scaled by."""
        for key in self._world.autoscaler_keys():
            autoscaler = self._ours(key) if key not in self._slots else None
            if autoscaler is not None:
                if limit <= 0:
                    return
                limit -= 1
                yield key, self.spec_of(autoscaler)

    def picture(self, key: Key) -> tuple[ScalingSpec, Observation, Memory] | None:
        """Return what a turn of a sleeping revision would begin with; None where it is none of ours."""
        autoscaler = self._ours(key)
        if autoscaler is None:
            return None
        spec = self.spec_of(autoscaler)
        pods = self._world.pods(key, spec.progress_deadline_s)
        seen = Observation(
            namespace=key[0],
            revision=key[1],
            unix_s=self._unix_clock(),
            ready_pods=pods.ready,
            not_ready_pods=pods.not_ready,
            starting_pods=pods.starting,
            start_s=pods.start_s,
            current_scale=self._publisher.scale(key, autoscaler) or 0,
        )
        return spec, seen, self._memory(autoscaler)

    def _ours(self, key: Key) -> Object | None:
        autoscaler = self._world.autoscaler(key) if self._is_ours(key) else None
        if autoscaler is None or autoscaling.class_of(annotations_of(autoscaler), self._world.config) != KPA_CLASS:
            return None
        return autoscaler

    def _rests(self, key: Key, autoscaler: Object, spec: ScalingSpec) -> bool:
        """Whether nothing but a report could change anything about a revision, and its status says so."""
        if (
            not status.tells_rest(autoscaler)
            or not self._demand.is_silent(key)
            or self._publisher.scale(key, autoscaler)
        ):
            return False
        if spec.is_prewarmed or not spec.is_scale_to_zero_enabled or (spec.min_scale > 0 and spec.is_reachable):
            return False
        if autoscaling_extensions.SCHEDULE in annotations_of(autoscaler):
            return False
        pods = self._world.pods(key, spec.progress_deadline_s)
        return pods.ready == pods.not_ready == 0

    def _memory(self, autoscaler: Object) -> Memory:
        if status.tells_rest(autoscaler):
            return status.memory_of_rest(autoscaler, self._clock(), self._unix_clock(), self.here_since)
        return status.memory_of(autoscaler, self._clock(), self._unix_clock())

    # Those that are awake

    def _adopt(self, key: Key, spec: ScalingSpec, autoscaler: Object) -> None:
        self._demand.configure(self._world.own_key(key), spec, self._memory(autoscaler))
        self.see_pods(key)
        self.see_scale(key)

    def see_pods(self, key: Key) -> None:
        """Note the pods of a revision that is awake."""
        slot = self._slots.get(key)
        if slot is None:
            return
        fleet = self._fleet
        pods = self._world.pods(key, fleet.spec(slot).progress_deadline_s)
        (self.starting.add if pods.starting else self.starting.discard)(key)
        columns = fleet.state.columns
        seen = {"ready_pods": pods.ready, "not_ready_pods": pods.not_ready, "starting_pods": pods.starting}
        if any(columns[name][slot] != value for name, value in seen.items()):
            fleet.see(slot, **seen)
        if pods.start_s:
            fleet.see(slot, start_s=pods.start_s)

    def see_scale(self, key: Key) -> None:
        """Note the replicas asked for of a revision that is awake."""
        slot, autoscaler = self._slots.get(key), self._world.autoscaler(key)
        if slot is not None and autoscaler is not None:
            self._fleet.see(slot, current_scale=self._publisher.scale(key, autoscaler) or 0)

    def due(self) -> list[Key]:
        """Return whose schedule says something else by now."""
        if not self.schedules:
            return []
        unix_s = self._unix_clock()
        return [key for key, changes_at in self.schedules.items() if changes_at <= unix_s]

    def left_of_schedule_s(self, key: Key) -> float:
        """Return the seconds until the schedule of a revision says something else; infinite: never."""
        return self.schedules.get(key, math.inf) - self._unix_clock()

    def spec_of(self, autoscaler: Object) -> ScalingSpec:
        """Return what a PodAutoscaler's annotations mean now."""
        wishes = autoscaler.get("spec") or {}
        return self._specs.resolve(
            annotations_of(autoscaler),
            int(wishes.get("containerConcurrency") or 0),
            self._world.config,
            str(wishes.get("reachability") or ""),
            progress_deadline_s=self.deadline_s(autoscaler),
            unix_s=self._unix_clock(),
        )

    def deadline_s(self, autoscaler: Object) -> float:
        """Return the progress deadline of a PodAutoscaler's Deployment."""
        deployment = self._world.deployment(autoscaler) or {}
        deadline_s = (deployment.get("spec") or {}).get("progressDeadlineSeconds")
        return float(deadline_s or autoscaling.DEFAULT_PROGRESS_DEADLINE_S)

    def _note_schedule(self, key: Key, annotations: dict[str, str]) -> None:
        if autoscaling_extensions.SCHEDULE in annotations:
            self.schedules[key] = autoscaling.schedule_changes_at(annotations, self._unix_clock())
        else:
            self.schedules.pop(key, None)
