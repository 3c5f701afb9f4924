"""Keeps the controller's Lease and runs its work only while we lead: the hands of `candidate`.

The identity is the pod's name: a container that was killed and restarted in its pod is leader again at once. The
webhook does not ask who leads; every replica answers it.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from prometheus_client import Gauge

from controller.candidate import EXPIRE_S, RETRY_S, Candidate, Step
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object
from tidegate.process import tasks

log = logging.getLogger(__name__)

WRITE_TIMEOUT_S = 3.0

Clock = Callable[[], float]
Work = Callable[[], Coroutine[None, None, None]]

_leading = Gauge("tidegate_controller_is_leading", "1 while this replica reconciles, 0 while it stands by")


@dataclass(slots=True)
class Election:
    """Our candidacy for the Lease `name` in `namespace`; `me` must differ between replicas."""

    api: Api
    namespace: str
    name: str
    me: str
    clock: Clock
    _candidate: Candidate = field(init=False)

    def __post_init__(self) -> None:
        self._candidate = Candidate(self.me)
        _leading.set(0)

    @property
    def is_leading(self) -> bool:
        """Whether we are the leader now."""
        return self._candidate.is_leading(self.clock())

    @property
    def holder(self) -> str:
        """Who was the leader when we last looked; empty for nobody."""
        return self._candidate.holder

    async def run(self, work: Work) -> None:
        """Run `work` whenever we lead, cancel it when we no longer do. Ends when cancelled or when `work` fails."""
        working: asyncio.Task[None] | None = None
        try:
            while True:
                began = self.clock()
                await self._look()
                if self.is_leading and working is None:
                    log.info("leading: %s", self.name)
                    working = tasks.spawn(work(), f"leader {self.name}")
                elif not self.is_leading and working is not None:
                    log.warning("no longer leading: %s (holder: %s)", self.name, self.holder or "nobody")
                    await tasks.cancel(working)
                    working = None
                if working is not None and working.done():
                    working.result()
                    raise RuntimeError(f"the work of {self.name} ended by itself")
                await self._pause(began, working)
        finally:
            await tasks.cancel(working)
            await self._resign()

    async def _pause(self, began: float, working: asyncio.Task[None] | None) -> None:
        pause_s = max(0.0, RETRY_S - (self.clock() - began))
        if working is None:
            await asyncio.sleep(pause_s)
        else:
            await asyncio.wait({working}, timeout=pause_s)

    async def _look(self) -> None:
        """Read the Lease and do what the rule says; a refusal or silence changes nothing but the time that passes."""
        began = self.clock()
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                lease = await self._read()
                step = self._candidate.saw(lease, self.clock())
                if step is Step.CREATE:
                    await self.api.create(resources.LEASES, self._lease({}, 0))
                elif lease is not None and step is not Step.WAIT:
                    await self.api.replace(resources.LEASES, self._renewed(lease))
                if step is not Step.WAIT:
                    self._candidate.renewed(began)
        except ApiError as error:
            if not (error.is_conflict or error.is_already_exists):
                log.warning("Lease %s: %s", self.name, error)
        except TimeoutError:
            log.warning("Lease %s: no answer within %.0f s", self.name, WRITE_TIMEOUT_S)

    async def _read(self) -> Object | None:
        try:
            return await self.api.get(resources.LEASES, self.name, self.namespace)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def _resign(self) -> None:
        """Give the Lease to nobody, so that another need not wait until we seem dead."""
        if not self.is_leading:
            return
        self._candidate.renewed_at = float("-inf")
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                lease = await self._read()
                if lease is not None and (lease.get("spec") or {}).get("holderIdentity") == self.me:
                    spec = lease["spec"] | {"holderIdentity": "", "renewTime": _now()}
                    await self.api.replace(resources.LEASES, lease | {"spec": spec})
        except (ApiError, TimeoutError) as error:
            log.info("Lease %s was not given up: %s", self.name, error or "no answer in time")

    def _renewed(self, lease: Object) -> Object:
        spec = lease.get("spec") or {}
        changes = int(spec.get("leaseTransitions") or 0)
        return lease | {"spec": self._lease(spec, changes)["spec"]}

    def _lease(self, before: Object, transitions: int) -> Object:
        is_new = before.get("holderIdentity") != self.me
        spec = before | {"holderIdentity": self.me, "leaseDurationSeconds": int(EXPIRE_S), "renewTime": _now()}
        if is_new:
            spec |= {"acquireTime": spec["renewTime"], "leaseTransitions": transitions + (1 if before else 0)}
        return {
            "apiVersion": resources.LEASES.api_version,
            "kind": resources.LEASES.kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": spec,
        }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
