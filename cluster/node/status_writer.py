"""Publishes one pod's status: only when it changed, at once, one write at a time; what changes meanwhile goes next.

A server that does not answer is tried again for as long as the pod is here. It does not build statuses.
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
        self._is_gone = False

    def publish(self, status: Object) -> None:
        """Write `status` unless it is what was written last."""
        self._wanted = status
        if self._task is None and status != self._written and not self._is_gone:
            self._task = tasks.spawn(self._write(), f"status-{self._name}")

    async def flush(self, timeout_s: float) -> None:
        """Return when the last published status is written, or after `timeout_s` seconds."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout_s)

    async def close(self) -> None:
        """Stop writing."""
        self._is_gone = True
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
        await self._api.patch(
            resources.PODS, self._name, patch, self._namespace, subresource="status", manager="tidegate-node"
        )
