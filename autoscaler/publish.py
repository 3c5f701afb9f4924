"""Carries decisions to the API server: the Deployment's scale first, then the PodAutoscaler's status, then Events.

One worker per revision at a time, always with the newest decision; a write happens only where something differs. A
failed write is tried again after a growing pause, and at once when a request waits. Events are best effort. A revision
takes room here only while something of it is to be written or read back. Nothing here decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from autoscaler import explain, status
from autoscaler.demand import Key
from autoscaler.watch import World
from tidegate.contracts import names
from tidegate.contracts.decision import Because, Decision
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object, labels_of
from tidegate.kube.event_recorder import Recorder
from tidegate.process import tasks

log = logging.getLogger(__name__)

COMPONENT = "autoscaler"
FIRST_BACKOFF_S = 0.1
LAST_BACKOFF_S = 5.0
WRITE_TIMEOUT_S = 10.0

OnPatched = Callable[[Key, Decision, float], None]
"""Called with the revision and decision whose scale was written, and the Unix time it was."""


class Lane:
    """What is under way for one revision."""

    __slots__ = ("asked", "backoff_s", "checked", "decision", "newer", "older_version", "poked", "worker")

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.worker: asyncio.Task[None] | None = None
        self.poked = asyncio.Event()
        self.backoff_s = FIRST_BACKOFF_S
        # Own writes that the caches do not show yet.
        self.asked: int | None = None
        self.newer: Object | None = None
        self.older_version = ""
        # What the last decision looked at would change in the status of which version.
        self.checked: tuple[Decision, str, Object | None] | None = None


class Publisher:
    """Writes what changed. `unix_clock` stamps conditions; `on_patched` hears of every scale written; `recorder` tells
    Events."""

    def __init__(
        self, api: Api, world: World, unix_clock: Callable[[], float], on_patched: OnPatched, recorder: Recorder
    ) -> None:
        self._api = api
        self._world = world
        self._unix_clock = unix_clock
        self._on_patched = on_patched
        self._lanes: dict[Key, Lane] = {}
        self.recorder = recorder
        self.failures = 0

    def scale(self, key: Key, autoscaler: Object) -> int | None:
        """Return the replicas asked of the Deployment, own writes included; None while there is no Deployment."""
        deployment = self._world.deployment(autoscaler)
        if deployment is None:
            return None
        lane = self._lanes.get(key)
        if lane is not None and lane.asked is not None:
            return lane.asked
        replicas = deployment.get("spec", {}).get("replicas")
        return 1 if replicas is None else int(replicas)

    def is_busy(self, key: Key) -> bool:
        """Whether something of a revision is to be written or read back."""
        return key in self._lanes

    def publish(self, key: Key, decision: Decision) -> None:
        """Take a decision over; starts writing if anything differs."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(decision)
        lane.decision = decision
        if decision.is_poked:
            lane.poked.set()
        if lane.worker is None and self._has_work(key, lane):
            lane.worker = tasks.spawn(self._work(key, lane), f"publish {key[0]}/{key[1]}")
        else:
            self._drop_if_done(key, lane)

    def deployment_changed(self, key: Key) -> None:
        """The cache has caught up with the Deployment: what it shows counts again."""
        lane = self._lanes.get(key)
        if lane is not None:
            lane.asked = None
            self._drop_if_done(key, lane)

    def status_seen(self, key: Key) -> None:
        """The cache shows another version of the PodAutoscaler."""
        lane = self._lanes.get(key)
        if lane is not None:
            self._autoscaler(key, lane)
            self._drop_if_done(key, lane)

    def forget(self, key: Key) -> None:
        """The revision is gone: stop writing."""
        lane = self._lanes.pop(key, None)
        if lane is not None and lane.worker is not None:
            lane.worker.cancel()

    async def close(self) -> None:
        """Stop all writing."""
        await tasks.cancel(*(lane.worker for lane in self._lanes.values()), *self.recorder.writing)
        self._lanes.clear()

    def _has_work(self, key: Key, lane: Lane) -> bool:
        autoscaler = self._autoscaler(key, lane)
        if autoscaler is None:
            return False
        return self._scale_due(key, lane, autoscaler) is not None or self._status_due(lane, autoscaler) is not None

    async def _work(self, key: Key, lane: Lane) -> None:
        try:
            while (autoscaler := self._autoscaler(key, lane)) is not None:
                try:
                    if not await self._write_one(key, lane, autoscaler) or self._is_told(lane):
                        return
                    lane.backoff_s = FIRST_BACKOFF_S
                except (ApiError, TimeoutError) as error:
                    if isinstance(error, ApiError) and error.is_not_found:
                        return  # not there yet, or no more: the next turn looks again
                    self.failures += 1
                    log.warning("%s/%s: %s; next try in %.1f s", *key, error, lane.backoff_s)
                    await self._pause(lane)
        finally:
            lane.worker = None
            self._drop_if_done(key, lane)

    def _drop_if_done(self, key: Key, lane: Lane) -> None:
        if lane.worker is None and lane.asked is None and lane.newer is None and self._lanes.get(key) is lane:
            del self._lanes[key]

    def _is_told(self, lane: Lane) -> bool:
        """Whether the status written last is that of the newest decision: then its scale is written too."""
        return lane.checked is not None and lane.checked[0] is lane.decision and lane.checked[2] is None

    async def _write_one(self, key: Key, lane: Lane, autoscaler: Object) -> bool:
        """Write the most urgent difference; False when there is none."""
        replicas = self._scale_due(key, lane, autoscaler)
        if replicas is not None:
            await self._write_scale(key, lane, autoscaler, replicas)
            return True
        body = self._status_due(lane, autoscaler)
        if body is None:
            return False
        version, decision = autoscaler["metadata"].get("resourceVersion", ""), lane.decision
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            lane.newer = await self._api.patch(
                resources.POD_AUTOSCALERS, key[1], {"status": body}, key[0], subresource="status", manager=COMPONENT
            )
        lane.older_version = version
        lane.checked = (decision, lane.newer["metadata"].get("resourceVersion", ""), None)
        return True

    async def _write_scale(self, key: Key, lane: Lane, autoscaler: Object, replicas: int) -> None:
        decision = lane.decision
        before = self.scale(key, autoscaler)
        name = autoscaler["spec"]["scaleTargetRef"]["name"]
        patch = {"spec": {"replicas": replicas}}
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await self._api.patch(resources.DEPLOYMENTS, name, patch, key[0], subresource="scale", manager=COMPONENT)
        lane.asked = replicas
        self._on_patched(key, decision, self._unix_clock())
        if self.recorder.has_room or log.isEnabledFor(logging.INFO):
            decision = explain.explain(decision)  # in a storm of wakes nobody is there to read all sentences
            log.info("%s/%s: from %s to %d replicas: %s", *key, before, replicas, decision.sentence)
        self._tell_scaled(key, decision, before or 0, replicas)

    async def _pause(self, lane: Lane) -> None:
        lane.poked.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(lane.backoff_s):
                await lane.poked.wait()
        lane.backoff_s = min(lane.backoff_s * 2, LAST_BACKOFF_S)

    def _autoscaler(self, key: Key, lane: Lane) -> Object | None:
        """Return the newest known version: our own last write until the cache shows another."""
        cached = self._world.autoscaler(key)
        if cached is None or lane.newer is None:
            return cached
        if cached["metadata"].get("resourceVersion") == lane.older_version:
            return lane.newer
        lane.newer = None
        return cached

    def _scale_due(self, key: Key, lane: Lane, autoscaler: Object) -> int | None:
        decision = lane.decision
        if decision.desired < 0 or not decision.is_applied:
            return None
        scale = self.scale(key, autoscaler)
        return decision.desired if scale is not None and scale != decision.desired else None

    def _status_due(self, lane: Lane, autoscaler: Object) -> Object | None:
        version, checked = autoscaler["metadata"].get("resourceVersion", ""), lane.checked
        if checked is not None and checked[0] is lane.decision and checked[1] == version:
            return checked[2]
        body = status.status_of(lane.decision, autoscaler, self._unix_clock())
        due = None if status.is_current(body, autoscaler) else body
        lane.checked = (lane.decision, version, due)
        return due

    def _tell_scaled(self, key: Key, decision: Decision, before: int, after: int) -> None:
        if decision.because is Because.ACTIVATION_FAILED:
            self._tell(key, "WakeFailed", f"Scaled from {before} to 0: {decision.sentence}", kind="Warning")
        elif after == 0:
            self._tell(key, "ScaledToZero", f"Scaled from {before} to 0: {decision.sentence}")
        elif after != before:
            reason = "ScaledUp" if after > before else "ScaledDown"
            self._tell(key, reason, f"Scaled from {before} to {after}: {decision.sentence}")

    def tell_panic(self, key: Key, decision: Decision) -> None:
        """Tell that panic has begun or ended."""
        reason = "PanicStarted" if decision.is_panicking else "PanicEnded"
        self._tell(key, reason, explain.sentence(decision))

    def tell_revision(self, key: Key, reason: str, message: str) -> None:
        """Tell something of a revision."""
        self._tell(key, reason, message)

    def tell_bad_config(self, config_map: Object, why: str) -> None:
        """Tell that a ConfigMap is not used; `why` names the key."""
        about = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": config_map["metadata"]}
        self.recorder.tell(about, "InvalidConfiguration", f"Not used, the last good one stays: {why}", kind="Warning")

    def _tell(self, key: Key, reason: str, message: str, kind: str = "Normal") -> None:
        autoscaler = self._world.autoscaler(key)
        if autoscaler is None:
            return
        revision = {
            "apiVersion": resources.REVISIONS.api_version,
            "kind": resources.REVISIONS.kind,
            "metadata": {
                "name": key[1],
                "namespace": key[0],
                "uid": labels_of(autoscaler).get(names.REVISION_UID_LABEL, ""),
            },
        }
        self.recorder.tell(revision, reason, message, kind)
