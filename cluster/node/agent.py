"""The node's main part: watches the pods bound to it and keeps one worker for each.

Pods are told apart by uid: a namesake created right after a deletion is another pod. Files of pods that no longer
exist are removed once the first list is known.
"""

from __future__ import annotations

import asyncio
import logging
import shutil

from cluster.node.addresses import OutOfAddresses
from cluster.node.context import Context
from cluster.node.pod_worker import PodWorker
from tidegate.kube import resources
from tidegate.kube.api import Object
from tidegate.kube.cache import Cache
from tidegate.process import tasks

log = logging.getLogger(__name__)

NODE_STOP_GRACE_S = 3.0
KILL_WAIT_S = 2.0
CRASH_PAUSE_S = 1.0
SYNC_TIMEOUT_S = 60.0


class Agent:
    """All pods of this node."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.node_name = context.node_name
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.cache = Cache(context.api, resources.PODS, fields=f"spec.nodeName={context.node_name}")
        self.cache.on_change(self._changed)
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Watch; returns when the pods already bound are being run."""
        self._watch = tasks.spawn(self.cache.run(), "watch-pods")
        await self.cache.wait_synced(SYNC_TIMEOUT_S)
        await asyncio.get_running_loop().run_in_executor(None, self._remove_leftovers, set(self._workers))

    async def stop(self) -> None:
        """Stop all pods within seconds and leave their objects: a node that comes back runs them again."""
        await tasks.cancel(self._watch)
        for worker in self._workers.values():
            worker.stop_for_node(NODE_STOP_GRACE_S)
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=NODE_STOP_GRACE_S + KILL_WAIT_S)
        await tasks.cancel(*self._tasks.values())

    def worker(self, namespace: str, name: str) -> PodWorker | None:
        """Return the worker of a pod by name; the youngest when a namesake is still ending."""
        return next((one for one in reversed(self._workers.values()) if one.key == (namespace, name)), None)

    def sessions(self) -> dict[tuple[str, str], dict[str, int]]:
        """Return the sessions of all running containers, by pod (namespace, name)."""
        return {worker.key: found for worker in self._workers.values() if (found := worker.sessions())}

    def _changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        if old is not None and (new is None or _uid(old) != _uid(new)) and (worker := self._workers.get(_uid(old))):
            worker.remove()
        if new is not None:
            worker = self._workers.get(_uid(new))
            if worker is not None:
                worker.update(new)
            else:
                self._begin(new)

    def _begin(self, pod: Object) -> None:
        try:
            worker = PodWorker(self._context, pod)
        except OutOfAddresses as error:
            log.error("pod %s cannot run here: %s", pod["metadata"]["name"], error)
            return
        self._workers[worker.uid] = worker
        task = tasks.spawn(worker.run(), f"pod-{pod['metadata']['name']}")
        self._tasks[worker.uid] = task
        task.add_done_callback(lambda done: self._ended(worker, done))

    def _ended(self, worker: PodWorker, task: asyncio.Task[None]) -> None:
        self._workers.pop(worker.uid, None)
        self._tasks.pop(worker.uid, None)
        if not task.cancelled() and task.exception() is not None:
            asyncio.get_running_loop().call_later(CRASH_PAUSE_S, self._resume, worker)

    def _resume(self, crashed: PodWorker) -> None:
        """A worker that failed by a fault of ours is begun anew, as after a restart of the node."""
        namespace, name = crashed.key
        pod = self.cache.get(name, namespace)
        if pod is not None and _uid(pod) == crashed.uid and crashed.uid not in self._workers:
            self._begin(pod)

    def _remove_leftovers(self, living: set[str]) -> None:
        folder = self._context.root / "pods"
        if folder.is_dir():
            for one in folder.iterdir():
                if one.name not in living:
                    shutil.rmtree(one, ignore_errors=True)


def _uid(pod: Object) -> str:
    return str(pod["metadata"]["uid"])
