"""Resident memory of a whole instance, read from /proc: every process that descends from its supervisor.

`rss` counts a shared page once per process, `pss` divides it among those that share it; the sum of pss is what the
machine gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One process: id, command line, resident and proportional memory in MB (1e6 bytes)."""

    pid: int
    command: str
    rss_mb: float
    pss_mb: float


def tree(root_pid: int) -> list[Process]:
    """Return `root_pid` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, pending = [], [root_pid]
    while pending:
        pid = pending.pop()
        pending += children.get(pid, [])
        if process := _describe(pid):
            found.append(process)
    return found


def _describe(pid: int) -> Process | None:
    folder = Path("/proc") / str(pid)
    try:
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        rollup = (folder / "smaps_rollup").read_text()
    except OSError:
        return None  # it ended, or is a kernel thread
    return Process(pid, command, _kilobytes(rollup, "Rss:") / 1e3 * 1.024, _kilobytes(rollup, "Pss:") / 1e3 * 1.024)


def _kilobytes(rollup: str, name: str) -> int:
    for line in rollup.splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def _parent(entry: Path) -> int | None:
    try:
        # The command in parentheses may hold spaces and parentheses itself; the fields follow its last one.
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None
