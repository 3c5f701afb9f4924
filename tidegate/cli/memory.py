"""What the processes of an instance weigh, read from /proc.

Resident memory counts a page once per process that maps it, so forked processes look heavier together than they are;
the proportional share (PSS) divides shared pages among those who map them, and adds up to the truth. Both are told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FIELD = re.compile(r"^(Pss|Rss):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Weight:
    """One process: its id, parent, command line, proportional and resident memory in bytes."""

    pid: int
    parent: int
    command: str
    pss_bytes: int
    rss_bytes: int


def tree(root: int, proc: Path = Path("/proc")) -> list[Weight]:
    """Return the process `root` and all that descend from it."""
    parents = dict(_parents(proc))
    family = {root} if root in parents else set()
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return [weight for pid in sorted(family) if (weight := weigh(pid, parents[pid], proc))]


def weigh(pid: int, parent: int, proc: Path = Path("/proc")) -> Weight | None:
    """Return the weight of one process, None when it has gone meanwhile."""
    try:
        fields = dict(_FIELD.findall((proc / str(pid) / "smaps_rollup").read_text()))
        command = (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return None
    return Weight(pid, parent, command, int(fields.get("Pss", 0)) << 10, int(fields.get("Rss", 0)) << 10)


def _parents(proc: Path) -> list[tuple[int, int]]:
    found = []
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                found.append((int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])))
            except OSError:
                continue
    return found
