"""The turn of all revisions: read this first.

    gather → decide → explain → publish

A turn comes every two seconds, and for one revision at once when its pods or settings change, and on a poke (the first
request of a revision that has no pod). What is seen of a revision is noted when it changes, so that a turn reads
columns of numbers and not objects; what comes of it is looked at only where it says something new. Load is recorded
every second, in the middle of the second, so that a late timer neither skips a bucket nor fills one twice.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np

from autoscaler import status
from autoscaler.decide import decide
from autoscaler.demand import Demand, Key
from autoscaler.fleet_state import BECAUSE
from autoscaler.fleet_turn import Turn
from autoscaler.history import History
from autoscaler.publish import COMPONENT, Publisher
from autoscaler.roster import Roster
from autoscaler.watch import World
from tidegate.contracts.decision import Activity, Because, Decision
from tidegate.kube.api import Api
from tidegate.kube.event_recorder import Recorder
from tidegate.process import tasks

log = logging.getLogger(__name__)

DECIDE_S = 2.0
BREATH = 100
"""News between two chances for a poke to be heard."""
REVIEW_BREATH = 200
DIRTY_LIMIT = 500
"""With more to do than this at once, all wait for the turn of the whole fleet, which is at most two seconds away."""

Clock = Callable[[], float]


class Loop:
    """All revisions. `clock` is monotonic seconds, `unix_clock` seconds since 1970 (for people only)."""

    def __init__(self, api: Api, world: World, demand: Demand, clock: Clock, unix_clock: Clock) -> None:
        self.world = world
        self.demand = demand
        self.fleet = demand.fleet
        self.slots = demand.watched
        """The revisions under our care that are awake."""
        self.history = History()
        self.counts: Counter[Because] = Counter()
        self.turn_s = 0.0
        """What the last turn of all revisions took."""
        self.is_ours: Callable[[Key], bool] = lambda _key: True
        """Whether this replica decides for a revision, and whether it may now: set where there are several."""
        self.may_decide: Callable[[], bool] = lambda: True
        self.hand_over: Callable[[Key], None] = lambda _key: None
        """Called where something changed about a revision that another class of autoscaler has, or may have had."""
        self.on_scaled: Callable[[Key], None] = lambda _key: None
        """Called when the API server has taken a scale above zero."""
        recorder = Recorder(api, COMPONENT, clock, tasks.spawn)
        self.publisher = Publisher(api, world, unix_clock, self._patched, recorder)
        self._clock = clock
        self._unix_clock = unix_clock
        self._decided_at = -DECIDE_S
        self._dirty: set[Key] = set()
        self._review: asyncio.Task[None] | None = None
        self.roster = Roster(
            world,
            demand,
            self.publisher,
            clock,
            unix_clock,
            is_ours=lambda key: self.is_ours(key),  # noqa: PLW0108 - it is set later
            hand_over=lambda key: self.hand_over(key),  # noqa: PLW0108
        )
        world.on_autoscaler = self._autoscaler_changed
        world.on_recreated = self._forget
        world.on_status = self.publisher.status_seen
        world.on_pods = self._pods_changed
        world.on_deployment = self._deployment_changed
        world.on_config = self._config_changed
        world.on_bad_config = self.publisher.tell_bad_config

    async def run(self) -> None:
        """Record every second and decide every two, until cancelled."""
        while True:
            now = self._clock()
            await asyncio.sleep(math.floor(now + 0.5) + 0.5 - now)
            await self.tick(self._clock())

    async def tick(self, now: float) -> None:
        """Record a second of load; every second time, take a turn of every revision that is awake."""
        self.world.cool()
        self.demand.record(now)
        if now - self._decided_at < DECIDE_S - 0.5:
            return
        self._decided_at = now
        for key in self.roster.due():
            self._autoscaler_changed(key)
        if not self.may_decide():
            return
        for key in list(self.roster.starting):
            self.roster.see_pods(key)
        self._turn_dirty()
        try:
            await self._turn(now)
        except Exception:
            log.exception("the turn of all revisions failed; each is decided by itself")
            for number, key in enumerate(list(self.slots), 1):
                self.turn(key)
                if number % BREATH == 0:
                    await asyncio.sleep(0)
        self.roster.rest(now)
        self.turn_s = self._clock() - now

    async def _turn(self, now: float) -> None:
        demand = self.demand
        waiting, silent = demand.waiting_by_slot(now), demand.silent_slots()
        for turn in self.fleet.turn(now, demand.as_of(now), waiting, silent):
            self._count(turn)
            for number, row in enumerate(turn.news.tolist(), 1):
                key = demand.keys[int(turn.slots[row])]
                if key is not None and key in self.slots and self.is_ours(key):
                    self._take_over(key, turn.decision(row, *key, unix_s=self._unix_clock()))
                if number % BREATH == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(0)

    def poke(self, key: Key) -> None:
        """Requests wait for a revision: take its turn now, unless pods are there or enough of them are asked for."""
        self.roster.wake(key)
        slot = self.slots.get(key)
        if slot is None or not self.may_decide():
            return
        enough = self.fleet.enough_for(slot)
        if enough < 0 or (enough < math.inf and self.demand.waiting(key, self._clock()) > enough):
            self.turn(key, is_poked=True)

    def turn(self, key: Key, *, is_poked: bool = False) -> None:
        """Take the turn of one revision now; one that cannot be handled must not keep others waiting."""
        slot, autoscaler = self.slots.get(key), self.world.autoscaler(key)
        if slot is None or autoscaler is None or autoscaler["metadata"].get("deletionTimestamp"):
            return
        if not self.is_ours(key):
            return  # given away a moment ago
        now = self._clock()
        waiting = max(self.demand.waiting(key, now), 1 if is_poked else 0)
        try:
            decision = self.fleet.decide_one(
                slot,
                now,
                self.demand.as_of(now),
                waiting,
                namespace=key[0],
                revision=key[1],
                unix_s=self._unix_clock(),
                is_poked=is_poked,
            )
        except Exception:
            log.exception("the turn of %s/%s failed", *key)
            return
        self.counts[decision.because] += 1
        self._take_over(key, decision)

    def latest(self, key: Key) -> Decision | None:
        """Return what would be decided for a revision now; nothing changes by asking."""
        slot, now = self.slots.get(key), self._clock()
        if slot is None:
            asleep = self.roster.picture(key)
            return decide(*asleep, now)[0] if asleep is not None else None
        decision = self.fleet.look(
            slot,
            now,
            self.demand.as_of(now),
            self.demand.waiting(key, now),
            namespace=key[0],
            revision=key[1],
            unix_s=self._unix_clock(),
        )
        return self._dated(key, decision)

    def _dated(self, key: Key, decision: Decision) -> Decision:
        """Add when the next change is due where that is a matter of clocks that decisions do not see."""
        if decision.because is Because.SCHEDULE:
            left_s = self.roster.left_of_schedule_s(key)
        elif decision.because is Because.PREWARM and (times := self.fleet.idle_times.get(self.slots[key])):
            now = self._clock()
            left_s = times.changes_at(now) - now
        else:
            return decision
        return msgspec.structs.replace(decision, next_change_s=max(0.0, left_s) if left_s < math.inf else -1.0)

    def _take_over(self, key: Key, decision: Decision) -> None:
        """Remember a decision that says something new, and see to it that it is told and done."""
        was_panicking = self.history.was_panicking(key)
        is_news = was_panicking is not None or not _is_at_rest(decision) or self.publisher.is_busy(key)
        if not is_news and status.is_of_rest(self.world.autoscaler(key)):
            return  # it sleeps, as it did before we looked
        if decision.is_panicking != bool(was_panicking):
            self.publisher.tell_panic(key, decision)
        decision = self._dated(key, decision)
        self.history.keep(key, decision)
        self.publisher.publish(key, decision)

    def _count(self, turn: Turn) -> None:
        codes, numbers = np.unique(turn.because, return_counts=True)
        for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
            self.counts[BECAUSE[code]] += number

    def _patched(self, key: Key, decision: Decision, unix_s: float) -> None:
        self.history.patched(decision, unix_s)
        if decision.desired > 0:
            self.on_scaled(key)
        self.roster.see_scale(key)

    # What the world tells

    def shares_changed(self) -> None:
        """Begin with revisions that are ours now, leave those that are another's."""
        self.roster.here_since = self._clock()
        self._review_all(lambda key: self.is_ours(key) != (key in self.slots))

    def _review_all(self, is_due: Callable[[Key], bool]) -> None:
        """Look at all PodAutoscalers anew where `is_due`, a few at a time, so that others are heard meanwhile."""
        before = self._review

        async def review() -> None:
            if before is not None:
                await asyncio.wait([before])  # one after the other: the last one asked for sees the newest
            for number, key in enumerate(self.world.autoscaler_keys(), 1):
                if is_due(key):
                    self._autoscaler_changed(key)
                if number % REVIEW_BREATH == 0:
                    await asyncio.sleep(0)

        self._review = tasks.spawn(review(), "review of all revisions")

    def _autoscaler_changed(self, key: Key) -> None:
        if self.roster.look_at(key):
            self._mark(key)
        elif not self.roster.is_known(key):
            self._forget(key)

    def _pods_changed(self, key: Key) -> None:
        if key not in self.slots:
            self._autoscaler_changed(key)
            return
        self.roster.see_pods(key)
        self._mark(key)

    def _config_changed(self) -> None:
        log.info("config-autoscaler changed: %s", self.world.config)
        self._review_all(lambda _key: True)

    def _deployment_changed(self, key: Key) -> None:
        self.publisher.deployment_changed(key)
        slot, autoscaler = self.slots.get(key), self.world.autoscaler(key)
        if autoscaler is None:
            return
        if slot is None:
            self._autoscaler_changed(key)
            return
        before = self.fleet.spec(slot).progress_deadline_s, self.fleet.state.columns["current_scale"][slot]
        if self.roster.deadline_s(autoscaler) != before[0]:
            self.demand.configure(key, self.roster.spec_of(autoscaler))
        elif (self.publisher.scale(key, autoscaler) or 0) == before[1]:
            return  # our own write, come back
        self.roster.see_scale(key)
        self._mark(key)

    def _forget(self, key: Key) -> None:
        """A revision is gone, is another's now, or another of its name has come."""
        self.roster.drop(key)
        self.history.forget(key)
        self.publisher.forget(key)

    def _mark(self, key: Key) -> None:
        """Take a turn of this revision soon; several changes of one moment make one turn."""
        if key not in self.slots:
            return
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._turn_dirty)
        self._dirty.add(key)

    def _turn_dirty(self) -> None:
        if not self.may_decide() or not self.world.is_synced:
            return  # they stay marked, and a tick comes back to them
        keys, self._dirty = self._dirty, set()
        if len(keys) > DIRTY_LIMIT:
            return
        for key in keys:
            self.turn(key)


def _is_at_rest(decision: Decision) -> bool:
    """Whether there is nothing to do: at zero, and none is wanted."""
    return (
        decision.desired <= 0
        and decision.current_scale == decision.ready_pods == decision.not_ready_pods == decision.waiting == 0
        and decision.activity is Activity.INACTIVE
    )
