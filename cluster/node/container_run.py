"""One container of one pod, from start to end: process, hooks, probes, log.

It carries out the steps `lifecycle` plans and notes what happens in the container's record, then calls `changed`.
It does not decide whether a container is started again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from cluster.node import lifecycle, logs, probe_plan, probes, process
from cluster.node.cgroups import Group
from cluster.node.context import HOST_IP, Context
from cluster.node.lifecycle import Container, Termination
from cluster.node.logs import ContainerLog
from cluster.node.probe_plan import Probe, Results
from cluster.node.process import Command, Process, StartError
from cluster.node.standard_input import StandardInput
from cluster.node.surroundings import Setting
from tidegate.kube.api import Object
from tidegate.process import tasks

log = logging.getLogger(__name__)

POST_START_TIMEOUT_S = 60.0
START_ERROR_CODE = 128
FALLBACK_POLICY = "FallbackToLogsOnError"

Note = Callable[[str, str, str], None]
"""Called with reason, message and kind (Normal, Warning) for the pod's Events."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container runs: its pod's uid and address, and the grace in seconds it gets when it must stop."""

    pod_uid: str
    pod_ip: str
    grace_s: float


class ContainerRun:
    """One run of one container."""

    def __init__(
        self, context: Context, record: Container, place: Place, changed: Callable[[], None], note: Note
    ) -> None:
        self._context = context
        self._record = record
        self._place = place
        self._changed = changed
        self._note = note
        self._process: Process | None = None
        self._log: ContainerLog | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._target = probes.Target("", {}, {}, "/")
        self._failure = ""
        self._group: Group | None = None
        self._input: StandardInput | None = None

    @property
    def log(self) -> ContainerLog | None:
        """The log being written, None before the start."""
        return self._log

    @property
    def session(self) -> int:
        """The session that all its processes belong to, 0 when it does not run."""
        return self._process.pid if self._process is not None and self._record.is_alive else 0

    async def start(self, setting: Setting, spec: Object, log_file: ContainerLog) -> None:
        """Start the process; a failure is noted as an end with exit code 128."""
        self._log = log_file
        record = self._record
        record.started_unix_s = time.time()
        record.run_id = f"{record.name}-{record.restarts}-{os.urandom(6).hex()}"
        self._target = probes.Target(
            self._place.pod_ip or HOST_IP, spec, setting.env, setting.cwd, setting.user, setting.privileges
        )
        out, err = log_file.pipe("stdout"), log_file.pipe("stderr")
        self._input = StandardInput() if spec.get("stdin") else None
        try:
            self._group = await self._make_group(setting)
            command = Command(
                setting.argv,
                setting.env,
                setting.cwd,
                out,
                err,
                setting.preload,
                setting.limits,
                setting.user,
                setting.privileges,
                self._group.view() if self._group and self._context.has_views else (),
                self._input.reader if self._input else None,
            )
            self._process = await self._context.start(command)
        except StartError as error:
            self._finish(START_ERROR_CODE, "StartError", str(error))
            self._note("Failed", f"Error: {error}", "Warning")
            return
        finally:
            os.close(out)
            os.close(err)
            if self._input is not None:
                os.close(self._input.reader)
        if self._group is not None:
            self._tasks.append(
                tasks.spawn(asyncio.to_thread(self._group.join, self._process.pid), f"join-{record.name}")
            )
        record.state = "running"
        log.info("%s: pid %d, %s", record.run_id, self._process.pid, self._process.way)
        self._note(
            "Started", f"Started container {record.name} (pid {self._process.pid}, {self._process.way})", "Normal"
        )
        self._process.ended.add_done_callback(self._ended)
        self._tasks.append(tasks.spawn(self._attend(spec), f"attend-{record.name}"))

    async def _make_group(self, setting: Setting) -> Group | None:
        groups = self._context.groups
        if groups is None or not setting.amounts.is_limited:
            return None
        try:
            return await asyncio.to_thread(groups.make, self._place.pod_uid, self._record.name, setting.amounts)
        except OSError as error:
            raise StartError(f"its control group cannot be made: {error.strerror}: {error.filename}") from error

    async def feed(self, content: bytes) -> None:
        """Write to its standard input, if it has one; raises TimeoutError when it does not read."""
        if self._input is not None:
            await self._input.feed(content)

    def end_input(self) -> None:
        """End its standard input."""
        if self._input is not None:
            self._input.close()

    async def stop(self, spec: Object, grace_s: float, reason: str = "") -> None:
        """preStop hook, SIGTERM, grace, SIGKILL, for the whole group; returns when the process has ended."""
        running = self._process
        if running is None or self._record.state == "stopping":
            return
        self._record.state = "stopping"
        self._failure = reason
        deadline = time.monotonic() + grace_s
        if (hook := (spec.get("lifecycle") or {}).get("preStop")) and not running.ended.done() and grace_s > 0:
            done, text = await probes.run(hook, self._target, grace_s)
            if not done:
                self._note("FailedPreStopHook", f"PreStopHook failed: {text}", "Warning")
        await process.terminate(running, max(0.0, deadline - time.monotonic()))

    def kill(self) -> None:
        """SIGKILL the group now, without waiting."""
        if self._process is not None:
            self._process.signal_group(signal.SIGKILL)

    def _ended(self, future: asyncio.Future[int]) -> None:
        code = future.result()
        if self._process is not None:
            # What the container's first process leaves behind is not the container any more.
            self._process.signal_group(signal.SIGKILL)
        number = -code if code < 0 else 0
        reason = "Completed" if code == 0 else "Error"
        if code and self._group is not None and self._group.has_run_out_of_memory():
            reason = "OOMKilled"
        self._finish(128 + number if number else code, reason, self._failure, number)

    def _finish(self, code: int, reason: str, message: str, number: int = 0) -> None:
        for task in self._tasks:
            task.cancel()
        self.end_input()
        if self._log is not None:
            self._log.close()
            if code and not message and self._record.spec.get("terminationMessagePolicy") == FALLBACK_POLICY:
                message = logs.last_words(self._log.path)
        now = time.time()
        end = Termination(code, number, reason, message, self._record.started_unix_s, now)
        lifecycle.ended(self._record, end, time.monotonic())
        self._changed()

    async def _attend(self, spec: Object) -> None:
        """postStart, then the startup probe, then readiness and liveness side by side."""
        record = self._record
        if hook := (spec.get("lifecycle") or {}).get("postStart"):
            done, text = await probes.run(hook, self._target, POST_START_TIMEOUT_S)
            if not done:
                self._note("FailedPostStartHook", f"PostStartHook failed: {text}", "Warning")
                return self._fail(spec, f"PostStartHook failed: {text}")
        startup = spec.get("startupProbe")
        if startup and not await self._until_verdict(probe_plan.parse(startup)):
            self._note("Unhealthy", "Startup probe failed", "Warning")
            return self._fail(spec, "startup probe failed")
        record.started = True
        if spec.get("livenessProbe"):
            self._tasks.append(tasks.spawn(self._liveness(spec), f"liveness-{record.name}"))
        if readiness := spec.get("readinessProbe"):
            self._changed()
            await self._readiness(probe_plan.parse(readiness))
        else:
            record.ready = True
            self._changed()
        return None

    async def _until_verdict(self, probe: Probe) -> bool:
        # A start-up that may take failureThreshold periods keeps that time, however often it is probed meanwhile.
        began = time.monotonic()
        deadline = began + probe.initial_delay_s + probe.failure_threshold * probe.period_s
        await asyncio.sleep(probe.initial_delay_s)
        while True:
            done, _ = await probes.run(probe.action, self._target, probe.timeout_s)
            if done or time.monotonic() >= deadline:
                return done
            await asyncio.sleep(probe_plan.pause_s(probe, time.monotonic() - began, is_fast=True))

    async def _readiness(self, probe: Probe) -> None:
        record, results, began, is_starting = self._record, Results(), time.monotonic(), True
        await asyncio.sleep(probe.initial_delay_s)
        while True:
            done, text = await probes.run(probe.action, self._target, probe.timeout_s)
            results = probe_plan.after(results, done, probe)
            ready = bool(results.verdict)
            if ready != record.ready:
                record.ready = ready
                self._changed()
                if not ready:
                    self._note("Unhealthy", f"Readiness probe failed: {text}", "Warning")
            is_starting = is_starting and not ready
            await asyncio.sleep(probe_plan.pause_s(probe, time.monotonic() - began, is_fast=is_starting))

    async def _liveness(self, spec: Object) -> None:
        probe = probe_plan.parse(spec["livenessProbe"])
        results = Results(verdict=True)
        await asyncio.sleep(probe.initial_delay_s)
        while True:
            await asyncio.sleep(probe.period_s)
            done, text = await probes.run(probe.action, self._target, probe.timeout_s)
            results = probe_plan.after(results, done, probe)
            if results.verdict is False:
                self._note("Unhealthy", f"Liveness probe failed: {text}", "Warning")
                return self._fail(spec, f"liveness probe failed: {text}")

    def _fail(self, spec: Object, reason: str) -> None:
        self._note("Killing", f"Container {self._record.name} failed: {reason}; it is killed", "Normal")
        tasks.spawn(self.stop(spec, self._place.grace_s, reason), f"stop-{self._record.name}")
