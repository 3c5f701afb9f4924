"""Processor time and memory of containers and of the machine, from /proc: a container is all processes of its session.

It reads and adds up; whose session is whose is the agent's knowledge. The document has the shape of a kubelet's
`/stats/summary`, of which it carries the parts that metrics are made of.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

PROC = Path("/proc")
TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """Seconds of processor time since the start, bytes resident now."""

    cpu_s: float = 0.0
    memory_bytes: int = 0


def of_sessions(sessions: Iterable[int], proc: Path = PROC) -> dict[int, Usage]:
    """Return what the living processes of each session use; children that ended count in who waited for them."""
    found = dict.fromkeys(sessions, Usage())
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except OSError:
            continue  # it has just ended
        # proc(5): after the name in parentheses come state (3), ppid, pgrp, session (6), ... utime (14) to cstime (17),
        # ... rss (24).
        fields = text.rpartition(")")[2].split()
        session = int(fields[3])
        if session in found:
            before = found[session]
            spent_s = sum(map(int, fields[11:15])) * TICK_S
            found[session] = Usage(before.cpu_s + spent_s, before.memory_bytes + int(fields[21]) * PAGE_BYTES)
    return found


def summary(node: str, sessions: Mapping[tuple[str, str], Mapping[str, int]]) -> dict[str, Any]:
    """Return the document about pods (namespace, name), given the session of each of their containers."""
    used = of_sessions(session for containers in sessions.values() for session in containers.values())
    pods = [
        {
            "podRef": {"namespace": namespace, "name": name},
            "containers": [_container(container, used[session]) for container, session in containers.items()],
        }
        for (namespace, name), containers in sessions.items()
    ]
    return {"node": {"nodeName": node, **_told(of_machine())}, "pods": pods}


def of_machine(proc: Path = PROC) -> Usage:
    """Return what this machine has spent since it was started (all but idle and waiting for disks), and its memory that
    is not available."""
    # proc(5): user, nice, system, idle, iowait, irq, softirq, steal; guests count as user.
    fields = list(map(int, (proc / "stat").read_text().partition("\n")[0].split()[1:9]))
    spent = sum(fields) - fields[3] - fields[4]
    lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    kib = {words[0]: int(words[1]) for words in lines if words[0] in ("MemTotal:", "MemAvailable:")}
    return Usage(spent * TICK_S, (kib["MemTotal:"] - kib["MemAvailable:"]) << 10)


def _container(name: str, used: Usage) -> dict[str, Any]:
    return {"name": name, **_told(used)}


def _told(used: Usage) -> dict[str, Any]:
    return {
        "cpu": {"usageCoreNanoSeconds": int(used.cpu_s * 1e9)},
        "memory": {"workingSetBytes": used.memory_bytes},
    }
