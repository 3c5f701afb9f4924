"""What a process really takes, read from the kernel: resident, its proportional share, what is its alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_FIELD = re.compile(r"^(Pss|Rss|Private_Clean|Private_Dirty):\s+(\d+) kB$", re.MULTILINE)


class ProcessMemory(NamedTuple):
    """Bytes of one process: `rss` counts shared pages fully, `pss` divides them among those who map them, `private`
    leaves them out: that is what comes back when the process ends."""

    pss: int
    rss: int
    private: int


def of(pid: int) -> ProcessMemory:
    """Return the memory of a process, zeros when it has gone."""
    try:
        fields = dict(_FIELD.findall(Path(f"/proc/{pid}/smaps_rollup").read_text()))
    except OSError:
        return ProcessMemory(0, 0, 0)
    kib = {name: int(value) for name, value in fields.items()}
    private = kib.get("Private_Clean", 0) + kib.get("Private_Dirty", 0)
    return ProcessMemory(kib.get("Pss", 0) << 10, kib.get("Rss", 0) << 10, private << 10)
