"""What a process really takes, read from the kernel: its proportional share and what is resident."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_FIELD = re.compile(r"^(Pss|Rss):\s+(\d+) kB$", re.MULTILINE)


class ProcessMemory(NamedTuple):
    """Bytes of one process: `pss` divides shared pages among those who map them, `rss` counts them fully."""

    pss: int
    rss: int


def of(pid: int) -> ProcessMemory:
    """Return the memory of a process, zeros when it has gone."""
    try:
        fields = dict(_FIELD.findall(Path(f"/proc/{pid}/smaps_rollup").read_text()))
    except OSError:
        return ProcessMemory(0, 0)
    return ProcessMemory(int(fields.get("Pss", 0)) << 10, int(fields.get("Rss", 0)) << 10)
