"""One pod on this node: asks `lifecycle` what to do, does it, publishes the status, until the pod is gone.

One coroutine per pod; everything that happens (a process ended, a probe spoke, the object changed) only sets `wake`.
The processes of one pod are started side by side.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from cluster import timestamps
from cluster.node import lifecycle, logs, pod_status, ports, reaper, resume, surroundings
from cluster.node.container_run import ContainerRun, Place
from cluster.node.context import HOST_IP, Context
from cluster.node.environment import ConfigError, PodFacts
from cluster.node.lifecycle import Container, LookAgain, Start, Stop
from cluster.node.logs import ContainerLog
from cluster.node.pod_status import Surroundings
from cluster.node.status_writer import StatusWriter
from cluster.node.surroundings import PodFolder, Setting, UnknownImage
from tidegate.kube import events, resources
from tidegate.kube.api import ApiError, Object, name_of, namespace_of
from tidegate.process import tasks

log = logging.getLogger(__name__)

CONFIG_RETRY_S = 1.0
REFRESH_S = 60.0
KEPT_RUNS = 3
"""Logs of that many runs of a container are kept; people can ask for the last two."""
IMAGE_RETRY_S = (0.5, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
API_TIMEOUT_S = 10.0
DELETE_RETRY_S = 0.5
EVENT_DELAY_S = 0.25
"""Events are for people: they leave the milliseconds of a cold start to the pod."""
EVENTS_LIMIT = 200
"""Most Events one pod writes in its life: a crash loop must not fill the store."""


class PodWorker:
    """Runs one pod. `update` and `remove` tell it what the API says; `run` ends when the pod is over and gone."""

    def __init__(self, context: Context, pod: Object) -> None:
        self._context = context
        self._pod = pod
        self.uid = str(pod["metadata"]["uid"])
        self.key = (namespace_of(pod), name_of(pod))
        self._policy = pod["spec"].get("restartPolicy") or "Always"
        self._grace_s = float(pod["spec"].get("terminationGracePeriodSeconds") or 30)
        self._containers = lifecycle.containers_of(pod["spec"])
        self._is_finished = resume.apply(self._containers, pod, time.time(), time.monotonic())
        self._runs: dict[str, ContainerRun] = {}
        self._image_tries: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._writer = StatusWriter(context.api, pod)
        self._is_prepared = False
        self._is_removed = False
        self._is_node_stopping = False
        self._is_killing = False
        self._stops: dict[str, asyncio.Task[None]] = {}
        self._refresher: asyncio.Task[None] | None = None
        self._forwards: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._events_written = 0
        self._start_time = (pod.get("status") or {}).get("startTime") or timestamps.text(time.time())
        self._spec_pod = self._accept(pod)

    # What the API says

    def update(self, pod: Object) -> None:
        """Take a newer version of the object; only its deletion concerns a running pod."""
        self._pod = pod
        self._writer.observe(pod)
        self._wake.set()

    def remove(self) -> None:
        """The object is gone: stop at once, nobody waits for us."""
        self._is_removed = True
        self._wake.set()

    def stop_for_node(self, grace_s: float) -> None:
        """The node stops: end the processes within `grace_s` seconds, leave the object."""
        self._is_node_stopping = True
        self._grace_s = min(self._grace_s, grace_s)
        self._wake.set()

    def log_of(self, container: str) -> ContainerLog | None:
        """Return the log that a container writes now."""
        run = self._runs.get(container)
        return run.log if run else None

    def run_of(self, container: str) -> ContainerRun | None:
        """Return the present run of a container, None when it does not run."""
        return self._runs.get(container) if container in self.sessions() else None

    def sessions(self) -> dict[str, int]:
        """Return the session of each running container."""
        return {name: run.session for name, run in self._runs.items() if run.session}

    def record_of(self, container: str) -> Container | None:
        """Return a container's record."""
        return next((one for one in self._containers if one.name == container), None)

    def log_path(self, container: str, restart: int) -> Path:
        """Return where the log of one run of a container is."""
        return self._folder.log_path(container, restart)

    def setting_of(self, container: str, command: list[str]) -> Setting | None:
        """Return how to run `command` beside a running container, None when it does not run."""
        record = self.record_of(container)
        if record is None or not record.is_alive:
            return None
        try:
            return surroundings.beside(self._context, self._spec_pod, record.spec, self._folder, command)
        except (ConfigError, UnknownImage, OSError):
            return None

    # The loop

    async def run(self) -> None:
        """Run the pod to its end; gives back address and ports, removes its files when the object is gone."""
        try:
            while not await self._turn():
                await self._wake.wait()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for run in self._runs.values():
                run.kill()
            await tasks.cancel(*self._stops.values(), *self._forwards, self._refresher)
            await self._writer.close()
            self._context.addresses.release(self.uid)
            self._context.ports.release(self.uid)
            if self._context.groups is not None and self._context.groups.has(self.uid):
                await asyncio.to_thread(self._context.groups.remove, self.uid)
            if not self._is_node_stopping:
                self._folder.remove()

    async def _turn(self) -> bool:
        """Do what is due now; return whether the pod is over and gone."""
        self._wake.clear()
        self._publish()
        if self._is_stopping and self._is_still():
            return await self._conclude()
        if not self._is_stopping and not self._is_prepared and not self._is_finished:
            await self._prepare()
        now = time.monotonic()
        if self._is_finished and not self._is_stopping:
            return False
        steps = lifecycle.plan(self._containers, self._policy, stopping=self._is_stopping, now=now)
        if self._is_prepared and not self._is_stopping:
            await asyncio.gather(*(self._start(step.name) for step in steps if isinstance(step, Start)))
        for step in steps:
            if isinstance(step, Stop):
                self._stop(step.name)
            elif isinstance(step, LookAgain):
                self._look_again(step.at - now)
        if self._is_stopping and self._remaining_grace_s() <= 0 and not self._is_killing:
            self._is_killing = True
            for run in self._runs.values():
                run.kill()
        self._publish()
        return self._is_stopping and self._is_still() and await self._conclude()

    @property
    def _is_stopping(self) -> bool:
        return self._is_removed or self._is_node_stopping or bool(self._pod["metadata"].get("deletionTimestamp"))

    def _is_still(self) -> bool:
        return not any(one.is_alive for one in self._containers)

    def _remaining_grace_s(self) -> float:
        if self._is_node_stopping or self._is_removed:
            return self._grace_s if not self._is_removed else min(self._grace_s, 2.0)
        grace = self._pod["metadata"].get("deletionGracePeriodSeconds")
        return self._grace_s if grace is None else float(grace)

    # Beginning

    def _accept(self, pod: Object) -> Object:
        """Lend the pod its address and ports; returns the pod with the ports put in."""
        status = pod.get("status") or {}
        if pod["spec"].get("hostNetwork"):
            self._pod_ip = HOST_IP
        else:
            self._pod_ip = self._context.addresses.take(self.uid, status.get("podIP") or "")
        facts = PodFacts(self._pod_ip, HOST_IP, self._context.node_name, self._context.allocatable)
        self._folder = PodFolder(self._context.root / "pods" / self.uid, facts)
        taken = ports.allocate(ports.to_remap(pod["spec"]), lambda: self._context.ports.take(self.uid))
        if taken and ports.needs_forwarding(pod["spec"]):
            self._forwards = [self._forward(port, moved) for port, moved in taken.items()]
        changed = ports.remapped(pod, taken)
        everything = [*(changed["spec"].get("initContainers") or []), *changed["spec"]["containers"]]
        for record, spec in zip(self._containers, everything, strict=True):
            record.spec = spec
        return changed

    def _forward(self, port: int, moved: int) -> asyncio.Task[None]:
        """Let the port answer where Services expect it: on the pod's own address."""
        target = [(HOST_IP, moved)]
        return tasks.spawn(self._context.splicer.listen((self._pod_ip, port), lambda: target), f"forward-{moved}")

    async def _prepare(self) -> None:
        now = time.monotonic()
        if any(one.not_before > now and one.state == "waiting" for one in self._containers):
            self._look_again(CONFIG_RETRY_S)
            return
        try:
            async with asyncio.timeout(API_TIMEOUT_S):
                await surroundings.prepare(self._context, self._spec_pod, self._folder)
            self._is_prepared = True
            if self._refresher is None:
                self._refresher = tasks.spawn(self._refresh(), f"refresh-{self.key[1]}")
        except (ConfigError, ApiError, TimeoutError, OSError) as error:
            text = str(error) or type(error).__name__
            for one in self._containers:
                if one.state == "waiting":
                    lifecycle.refused(one, "CreateContainerConfigError", text, CONFIG_RETRY_S, now)
            self._note("Failed", f"Error: {text}", "Warning")
            self._look_again(CONFIG_RETRY_S)

    async def _refresh(self) -> None:
        """Bring files of ConfigMaps, Secrets and tokens up to date now and then, as a kubelet does."""
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                async with asyncio.timeout(API_TIMEOUT_S):
                    await surroundings.prepare(self._context, self._spec_pod, self._folder)
            except (ConfigError, ApiError, TimeoutError, OSError) as error:
                log.info("files of %s/%s stay as they are: %s", *self.key, error)

    async def _start(self, name: str) -> None:
        record = self._record(name)
        now = time.monotonic()
        try:
            setting = surroundings.setting(self._context, self._spec_pod, record.spec, self._folder)
        except UnknownImage as error:
            tries = self._image_tries[name] = self._image_tries.get(name, 0) + 1
            retry_s = IMAGE_RETRY_S[min(tries, len(IMAGE_RETRY_S)) - 1]
            reason = "ErrImagePull" if tries == 1 else "ImagePullBackOff"
            lifecycle.refused(record, reason, str(error), retry_s, now)
            self._note("Failed" if tries == 1 else "BackOff", str(error), "Warning")
            self._wake.set()
            return
        except (ConfigError, OSError) as error:
            lifecycle.refused(record, "CreateContainerConfigError", str(error), CONFIG_RETRY_S, now)
            self._note("Failed", f"Error: {error}", "Warning")
            self._is_prepared = False
            self._wake.set()
            return
        if record.last is not None:
            record.restarts += 1
        record.state, record.reason, record.message = "starting", "ContainerCreating", ""
        place = Place(self.uid, self._pod_ip, self._grace_s)
        run = self._runs[name] = ContainerRun(self._context, record, place, self._wake.set, self._note)
        logs.remove(self._folder.log_path(name, record.restarts - KEPT_RUNS))
        log_file = ContainerLog(self._folder.log_path(name, record.restarts), self._context.log_limit_bytes)
        await run.start(setting, record.spec, log_file)

    def _look_again(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, delay_s), self._wake.set)

    def _record(self, name: str) -> Container:
        return next(one for one in self._containers if one.name == name)

    # Ending

    def _stop(self, name: str) -> None:
        if name in self._stops and not self._stops[name].done():
            return
        run, record = self._runs[name], self._record(name)
        self._stops[name] = tasks.spawn(run.stop(record.spec, self._remaining_grace_s()), f"stop-{name}")

    async def _conclude(self) -> bool:
        """All processes have ended: sweep what escaped their groups, then let the object go."""
        await asyncio.to_thread(reaper.kill_marked, reaper.POD_VARIABLE, self.uid)
        if self._is_node_stopping or self._is_removed:
            await self._writer.flush(1.0)
            return True
        self._publish()
        await self._writer.flush(API_TIMEOUT_S)
        namespace, name = self.key
        try:
            await self._context.api.delete(resources.PODS, name, namespace, uid=self.uid, grace_s=0)
        except ApiError as error:
            if not (error.is_not_found or error.is_conflict):
                log.info("final delete of %s/%s: %s", namespace, name, error)
                self._look_again(DELETE_RETRY_S)
                return False
        return True

    # Telling

    def _publish(self) -> None:
        if self._is_removed:
            return
        around = Surroundings(
            HOST_IP, self._pod_ip, self._start_time, time.time(), time.monotonic(), is_stopping=self._is_stopping
        )
        status = pod_status.build(self._pod, self._containers, around)
        self._is_finished = status["phase"] in ("Succeeded", "Failed")
        self._writer.publish(status)

    def _note(self, reason: str, message: str, kind: str) -> None:
        if self._events_written >= EVENTS_LIMIT or self._is_removed:
            return
        self._events_written += 1
        tasks.spawn(self._write_event(reason, message, kind), f"event-{reason}")

    async def _write_event(self, reason: str, message: str, kind: str) -> None:
        await asyncio.sleep(EVENT_DELAY_S)
        await events.record(self._context.api, self._pod, reason, message, component="tidegate-node", kind=kind)
