"""Runs `tritonserver`: its command line, its start, its end. Its output is this process's own.

It listens on loopback only, in explicit control mode, and gets SIGKILL when this process dies, whatever kills it. The
calls that could load code, share memory or write files are locked by a key that this process makes up; the key is
visible to who may list this user's processes. What is asked of it is repository_api.py's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import shlex
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from runtimes import leftovers
from runtimes.triton import locate
from runtimes.triton.config import Config
from tidegate.process import tasks
from tidegate.process.settings import SettingsError
from tidegate.wire import probe

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
LOCKED = "model-repository,shared-memory,trace,logging"
KEY_HEADER = "tidegate-triton-key"
GRPC_KEY_HEADER = f"triton-grpc-protocol-{KEY_HEADER}"
STARTS = 3
"""Its metrics port cannot be held for it: another process may take it before Triton does."""
POLL_S = 0.01
PROBE_TIMEOUT_S = 2.0
EXIT_TIMEOUT_S = 10
"""Given to its own unloading after the drain."""
SHARED_MEMORY = Path("/dev/shm")
_PREFIX = "tidegate-triton-"
_PR_SET_PDEATHSIG = 1


class Triton:
    """One running server. `ended` yields its exit code; `work` is a folder of its own, removed at the end."""

    def __init__(self, config: Config, server: locate.Server, environ: dict[str, str]) -> None:
        self.work = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self.repository = self.work / "repository"
        self.key = os.urandom(16).hex()
        self.http_port = self.grpc_port = self.metrics_port = 0
        self.ended: asyncio.Task[int] | None = None
        self.spawned = asyncio.Event()
        self._config = config
        self._server = server
        self._environ = locate.environment(server, environ, locate.link_python(server, self.work))
        self._backends = locate.link_backends(server, self.work)
        self._shared = f"{_PREFIX}{os.getpid()}-{self.key[:8]}-"
        self._process: asyncio.subprocess.Process | None = None
        self._held: list[socket.socket] = []

    async def start(self, *, completes: bool) -> None:
        """Start it and wait until it answers; `completes`: let it complete configurations. Raises SettingsError."""
        sweep()
        until = asyncio.get_running_loop().time() + self._config.start_timeout_s
        for attempt in range(1, STARTS + 1):
            self._choose_ports()
            await self._spawn(self.command(completes=completes))
            if await self._becomes_ready(until):
                return
            code = await self.stop(0.0)
            if asyncio.get_running_loop().time() >= until:
                raise SettingsError(f"tritonserver was not ready within {self._config.start_timeout_s:g} s")
            log.warning("tritonserver ended with %s while starting (attempt %d of %d)", code, attempt, STARTS)
        raise SettingsError("tritonserver does not start; its own lines above say why")

    async def stop(self, grace_s: float) -> int:
        """End it: SIGTERM, SIGKILL after `grace_s` seconds; returns its exit code. Its stubs end with it."""
        process, ended = self._process, self.ended
        if process is None or ended is None:
            return 0
        if not ended.done() and grace_s > 0:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait({ended}, timeout=grace_s)
        # Also after a good end: the group holds the Python backend's processes.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        code = await ended
        for held in self._held:
            held.close()
        _remove_shared_memory(self._shared)
        return code

    def remove(self) -> None:
        """Remove its folder."""
        shutil.rmtree(self.work, ignore_errors=True)

    def command(self, *, completes: bool) -> list[str]:
        """Return the command line."""
        config = self._config
        flags = {
            "model-repository": str(self.repository),
            "backend-directory": str(self._backends),
            "model-control-mode": "explicit",
            # One model that does not load must not take the others out of rotation.
            "strict-readiness": "false",
            "http-address": HOST,
            "http-port": str(self.http_port),
            "reuse-http-port": "true",
            "grpc-address": HOST,
            "grpc-port": str(self.grpc_port),
            "reuse-grpc-port": "true",
            "metrics-address": HOST,
            "metrics-port": str(self.metrics_port),
            "exit-timeout-secs": str(EXIT_TIMEOUT_S),
            "log-format": "ISO8601",
            "log-info": str(config.log_level in ("debug", "info")).lower(),
            "log-verbose": "1" if config.log_level == "debug" else "0",
            "http-restricted-api": f"{LOCKED}:{KEY_HEADER}={self.key}",
            "grpc-restricted-protocol": f"{LOCKED}:{KEY_HEADER}={self.key}",
            "backend-config": f"python,shm-region-prefix-name={self._shared}",
        }
        command = [str(self._server.executable), *(f"--{name}={value}" for name, value in flags.items())]
        if not completes:
            command.append("--disable-auto-complete-config")
        return [*command, *shlex.split(config.triton_args)]

    def _choose_ports(self) -> None:
        """Hold two ports for it (it shares them by SO_REUSEPORT), and pick a third that is free now."""
        for held in self._held:
            held.close()
        self._held = [_bound(reuse=True), _bound(reuse=True)]
        self.http_port, self.grpc_port = (held.getsockname()[1] for held in self._held)
        with _bound(reuse=False) as free:
            self.metrics_port = free.getsockname()[1]

    async def _spawn(self, command: list[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=self._environ,
            cwd=self.work,
            stdin=asyncio.subprocess.DEVNULL,
            # A group of its own: SIGTERM to this process's group is a drain here, not yet the end of Triton.
            start_new_session=True,
            preexec_fn=_die_with_parent(),  # it makes two system calls
        )
        self._process = process
        self.ended = tasks.spawn(process.wait(), "tritonserver")
        self.spawned.set()

    async def _becomes_ready(self, until: float) -> bool:
        loop = asyncio.get_running_loop()
        ended = self.ended
        assert ended is not None
        while loop.time() < until and not ended.done():
            try:
                host = [("Host", HOST)]
                status, _ = await probe.get(HOST, self.http_port, "/v2/health/ready", host, PROBE_TIMEOUT_S)
                if status == 200:
                    return True
            except (OSError, TimeoutError, ValueError):
                pass
            await asyncio.wait({ended}, timeout=POLL_S)
        return False


def sweep() -> list[str]:
    """Remove shared memory and folders of adapters that were killed; returns the paths removed."""
    return [*leftovers.sweep(SHARED_MEMORY, _PREFIX), *leftovers.sweep(Path(tempfile.gettempdir()), _PREFIX)]


def _remove_shared_memory(prefix: str) -> None:
    for left in SHARED_MEMORY.glob(f"{prefix}*"):
        left.unlink(missing_ok=True)


def _bound(*, reuse: bool) -> socket.socket:
    held = socket.socket()
    if reuse:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((HOST, 0))
    return held


def _die_with_parent() -> Callable[[], None]:
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def apply() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(137)

    return apply
