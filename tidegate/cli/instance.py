"""A local instance: its state folder, and the supervisor process that `tidegate up` starts detached.

What it knows of `cluster` is the state folder's layout and the command line `python -m cluster`; nothing is imported.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.cli.failures import Failure, Late

POLL_S = 0.02
PASSABLE = 0o711
STOP_TIMEOUT_S = 45.0
KILL_TIMEOUT_S = 5.0
OWN_FILES = ("instance.json", "store.db", "kubeconfig", "pki")
"""Any one of these marks a folder as the state of an instance: the others are not purged."""


@dataclass(frozen=True)
class Instance:
    """One state folder."""

    state: Path

    @property
    def kubeconfig(self) -> Path:
        """The admin kubeconfig that the API server writes."""
        return self.state / "kubeconfig"

    @property
    def logs(self) -> Path:
        """Where supervisor, api and node log."""
        return self.state / "logs"

    def run_file(self) -> dict[str, Any]:
        """Return what run.json says, empty when there is none (or half of one)."""
        try:
            document: dict[str, Any] = json.loads((self.state / "run.json").read_text())
        except (OSError, ValueError):
            return {}
        return document

    def pids(self) -> dict[str, int]:
        """Return the living processes that run.json names: supervisor, api, node."""
        listed = self.run_file().get("pids") or {}
        return {name: pid for name, pid in listed.items() if isinstance(pid, int) and self._is_ours(pid)}

    def _is_ours(self, pid: int) -> bool:
        # After a kill -9 of the supervisor the file stays, and its numbers may belong to somebody else by now.
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return os.fsencode(str(self.state)) in command.split(b"\0") and is_alive(pid)

    def supervisor(self) -> int:
        """Return the supervisor's process id, 0 when it does not run."""
        return self.pids().get("supervisor", 0)


def start(instance: Instance, flags: list[str]) -> subprocess.Popen[bytes]:
    """Start the supervisor in a session of its own, so that closing this terminal does not end it."""
    instance.logs.mkdir(parents=True, exist_ok=True)
    # 0711 was set by somebody who lets containers with users of their own through (docs/process-node.md).
    if instance.state.stat().st_mode & 0o777 != PASSABLE:
        instance.state.chmod(0o700)
    command = [sys.executable, "-m", "cluster", "--state", str(instance.state), *flags]
    with (instance.logs / "supervisor.log").open("ab") as log:
        try:
            return subprocess.Popen(
                command,
                cwd=instance.state,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                close_fds=True,
            )
        except OSError as error:
            raise Failure(f"cannot start {' '.join(command)}: {error.strerror}") from error


def stop(instance: Instance, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """End the instance: SIGTERM to the supervisor, which ends the rest; SIGKILL after `timeout_s` seconds.

    Returns whether anything ran. Raises `Late` when something survives even that.
    """
    pids = instance.pids()
    if not pids:
        return False
    supervisor = pids.get("supervisor", 0)
    for pid in [supervisor] if supervisor else list(pids.values()):
        _signal(pid, signal.SIGTERM)
    if not _wait_gone(list(pids.values()), timeout_s):
        for pid in pids.values():
            _signal(pid, signal.SIGKILL)
        if not _wait_gone(list(pids.values()), KILL_TIMEOUT_S):
            raise Late(f"processes {sorted(pids.values())} of {instance.state} survived SIGKILL")
    (instance.state / "run.json").unlink(missing_ok=True)
    return True


def purge(instance: Instance) -> None:
    """Remove the state folder; refuses a folder that is not one."""
    if not instance.state.exists():
        return
    if not any((instance.state / name).exists() for name in OWN_FILES) and any(instance.state.iterdir()):
        raise Failure(f"--state: {instance.state} does not look like a state folder of Tidegate; nothing was removed")
    shutil.rmtree(instance.state)


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs (a zombie does not)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in ("Z", "X")


def last_lines(path: Path, count: int = 12) -> str:
    """Return the end of a log file, for an error message."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return ""


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait_gone(pids: list[int], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
