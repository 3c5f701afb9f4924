"""Publishes one pod's status: only when it changed, one write at a time; what changes meanwhile goes next.

A server that does not answer is tried again for as long as the pod is here. What somebody else made of the pod's
readiness (the control plane does, when it has not heard from the node for a while) is put right. It does not build
statuses.
"""

from __future__ import annotations

import asyncio
import logging

from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object, name_of, namespace_of
from tidegate.process import tasks

log = logging.getLogger(__name__)

FIRST_BACKOFF_S = 0.02
LAST_BACKOFF_S = 5.0
DETAIL_DELAY_S = 0.05
"""A container that runs but is not ready yet concerns people, not machines; readiness mostly follows within this."""


class StatusWriter:
    """The status of one pod."""

    def __init__(self, api: Api, pod: Object) -> None:
        self._api = api
        self._name = name_of(pod)
        self._namespace = namespace_of(pod)
        self._uid = str(pod["metadata"]["uid"])
        self._written: Object | None = None
        self._wanted: Object | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_gone = False
        self._version = 0

    def observe(self, pod: Object) -> None:
        """Write again when this newer version of the pod says another readiness than was written."""
        if self._written is None or self._task is not None or _version(pod) <= self._version:
            return
        if _readiness(pod.get("status")) != _readiness(self._written):
            wanted, self._written = self._written, None
            self.publish(wanted)

    def publish(self, status: Object) -> None:
        """Write `status` unless it is what was written last: at once when others act upon the change, else soon."""
        self._wanted = status
        if self._task is not None or status == self._written or self._is_gone:
            return
        if _claims(status) != _claims(self._written):
            self._begin()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DETAIL_DELAY_S, self._begin)

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None and not self._is_gone:
            self._task = tasks.spawn(self._write(), f"status-{self._name}")

    async def flush(self, timeout_s: float) -> None:
        """Return when the last published status is written, or after `timeout_s` seconds."""
        if self._timer is not None:
            self._begin()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout_s)

    async def close(self) -> None:
        """Stop writing."""
        self._is_gone = True
        if self._timer is not None:
            self._timer.cancel()
        await tasks.cancel(self._task)

    async def _write(self) -> None:
        backoff_s = FIRST_BACKOFF_S
        try:
            while self._wanted != self._written and not self._is_gone:
                wanted = self._wanted
                try:
                    await self._patch(wanted)
                    self._written, backoff_s = wanted, FIRST_BACKOFF_S
                except ApiError as error:
                    # The uid in the patch makes a namesake answer Conflict.
                    if error.is_not_found or error.is_conflict:
                        self._is_gone = True
                        return
                    log.info("status of %s/%s: %s", self._namespace, self._name, error)
                    await asyncio.sleep(backoff_s)
                    backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)
        finally:
            self._task = None

    async def _patch(self, status: Object | None) -> None:
        patch = {"metadata": {"uid": self._uid}, "status": status}
        stored = await self._api.patch(
            resources.PODS, self._name, patch, self._namespace, subresource="status", manager="tidegate-node"
        )
        self._version = _version(stored)


def _version(pod: Object) -> int:
    text = str(pod["metadata"].get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def _readiness(status: Object | None) -> dict[str, str]:
    conditions = (status or {}).get("conditions") or []
    return {one["type"]: one["status"] for one in conditions if one["type"] in ("Ready", "ContainersReady")}


def _claims(status: Object | None) -> tuple[object, ...]:
    """Return what others act upon: address, readiness, restarts, the end."""
    status = status or {}
    restarts = tuple(int(one.get("restartCount") or 0) for one in status.get("containerStatuses") or [])
    over = status.get("phase") if status.get("phase") in ("Succeeded", "Failed") else ""
    return status.get("podIP"), _readiness(status), restarts, over
