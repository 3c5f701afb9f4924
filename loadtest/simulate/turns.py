"""The autoscaler's turns under the virtual clock: what `autoscaler/loop.py` does, without Kubernetes and sockets.

Load is recorded in the middle of each second, everybody awake is decided every two, and one revision at once on a poke
or when its pods change. Windows, sources, memories and decisions are production's (`Demand`, `Fleet`), and so are the
rules that say which poke is worth a turn and who is asleep.
"""

from __future__ import annotations

import math

import numpy as np

from autoscaler.demand import Demand, Key
from autoscaler.fleet import at_rest
from autoscaler.starts import Starts
from autoscaler.state import Memory
from loadtest.simulate.clock import Clock
from loadtest.simulate.pods import Pod, PodState
from loadtest.simulate.revision import Revision
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.decision import Decision

DECIDE_EVERY = 2
PREWARM_LEAD_S = DECIDE_EVERY
FEW = 8
"""Up to so many revisions are decided one by one, which is quicker than a turn of the fleet and decides the same."""


class Minded:
    """A revision under the autoscaler's care."""

    __slots__ = ("is_dirty", "revision", "slot", "starts")

    def __init__(self, revision: Revision, slot: int) -> None:
        self.revision = revision
        self.slot = slot
        self.starts = Starts()
        self.is_dirty = False


class Turns:
    """All revisions of a run."""

    def __init__(self, clock: Clock) -> None:
        self.demand = Demand()
        self.fleet = self.demand.fleet
        self._clock = clock
        self._minded: dict[Key, Minded] = {}
        self._by_slot: dict[int, Minded] = {}
        self._awake: dict[Key, Minded] = {}
        self._is_ticking = False

    def adopt(self, revision: Revision, spec: ScalingSpec, memory: Memory) -> None:
        """Take a revision into care."""
        slot = self.demand.configure(revision.key, spec, memory)
        self._minded[revision.key] = self._by_slot[slot] = Minded(revision, slot)

    def configure(self, revision: Revision, spec: ScalingSpec) -> None:
        """Its spec changed."""
        self.demand.configure(revision.key, spec)
        self.mark(revision)

    def revision(self, key: Key) -> Revision:
        """Return a revision by its key."""
        return self._minded[key].revision

    # What is seen

    def see_pod(self, revision: Revision, pod: Pod) -> None:
        """Note what became of a pod, and how long its start took."""
        minded = self._minded[revision.key]
        if pod.state in (PodState.STARTING, PodState.READY):
            minded.starts.see(pod.address[0], self._clock.now, is_ready=pod.state is PodState.READY)
        else:
            minded.starts.forget(pod.address[0])
        self._see(minded)

    def mark(self, revision: Revision) -> None:
        """Take its turn in this moment; several changes of one moment make one turn."""
        minded = self._minded[revision.key]
        self.wake(revision.key)
        if not minded.is_dirty:
            minded.is_dirty = True
            self._clock.at(self._clock.now, self._turn_dirty, minded)

    def wake(self, key: Key) -> None:
        """Something is said of this revision: it is awake from now on, and so are the ticks."""
        self._awake[key] = self._minded[key]
        self._resume()

    def _resume(self) -> None:
        if not self._is_ticking:
            self._is_ticking = True
            now = self._clock.now
            # The seconds slept through were silent; without this they would get the mean of what comes now.
            self.demand.record(math.floor(now + 0.5) - 0.5)
            self._clock.at(math.floor(now + 0.5) + 0.5, self._tick)

    def poke(self, key: Key) -> None:
        """Requests wait: take its turn now, unless pods are there or enough of them are asked for."""
        minded = self._minded[key]
        enough = self.fleet.enough_for(minded.slot)
        if enough < 0 or self.demand.waiting(key, self._clock.now) > enough:
            self._turn(minded, is_poked=True)

    def _see(self, minded: Minded) -> None:
        revision, deadline_s = minded.revision, self.fleet.spec(minded.slot).progress_deadline_s
        columns, slot = self.fleet.state.columns, minded.slot
        seen: dict[str, float] = {
            "ready_pods": revision.count(PodState.READY),
            "not_ready_pods": revision.count(PodState.STARTING),
            "starting_pods": minded.starts.starting(self._clock.now, deadline_s),
            "current_scale": revision.scale,
            "start_s": minded.starts.start_s,
        }
        if any(columns[name][slot] != value for name, value in seen.items()):
            self.fleet.see(slot, **seen)

    # Decisions

    def _tick(self) -> None:
        now = self._clock.now
        self.demand.record(now)
        if math.floor(now) % DECIDE_EVERY == 0:
            awake = list(self._awake.values())
            for minded in awake:
                self._see(minded)
            if len(awake) > FEW or self.fleet.idle_times:
                self._turn_all(now)
            else:
                for minded in awake:
                    self._turn(minded)
            self._let_sleep(awake)
        self._is_ticking = bool(self._awake)
        if self._is_ticking:
            self._clock.at(math.floor(now + 0.5) + 0.5, self._tick)
        elif self.fleet.idle_times:
            # Everybody sleeps, but a histogram will want a pod: from then on the ticks look at it again.
            wanted_at = min(times.changes_at(now) for times in self.fleet.idle_times.values())
            if wanted_at < math.inf:
                self._clock.at(wanted_at - PREWARM_LEAD_S, self._resume)

    def _turn_all(self, now: float) -> None:
        demand = self.demand
        waiting, silent = demand.waiting_by_slot(now), demand.silent_slots()
        for turn in self.fleet.turn(now, demand.as_of(now), waiting, silent):
            for slot in turn.slots.tolist():
                self._by_slot[slot].revision.ledger.decisions += 1
            for row in turn.news.tolist():
                self._take_over(self._by_slot[int(turn.slots[row])], turn.decision(row))

    def _turn_dirty(self, minded: Minded) -> None:
        minded.is_dirty = False
        self._turn(minded)

    def _turn(self, minded: Minded, *, is_poked: bool = False) -> None:
        now, revision = self._clock.now, minded.revision
        self._see(minded)
        waiting = max(self.demand.waiting(revision.key, now), 1 if is_poked else 0)
        decision = self.fleet.decide_one(minded.slot, now, self.demand.as_of(now), waiting, is_poked=is_poked)
        revision.ledger.decisions += 1
        self._take_over(minded, decision)

    def _take_over(self, minded: Minded, decision: Decision) -> None:
        revision = minded.revision
        if decision.is_applied and decision.desired >= 0 and decision.desired != revision.scale:
            revision.scale_to(decision.desired)
            self._see(minded)
        revision.backend.mode = decision.serving_mode

    def _let_sleep(self, awake: list[Minded]) -> None:
        """A turn could change nothing: at zero, inactive, told, and nobody reports."""
        slots = np.array([minded.slot for minded in awake], np.intp)
        rests = at_rest(self.fleet.state.columns, slots, self.demand.silent_slots())
        for minded, is_resting in zip(awake, rests.tolist(), strict=True):
            if is_resting and not minded.is_dirty:
                del self._awake[minded.revision.key]
