"""No orphan survives: finds processes by the markers that the node puts into every environment it hands out.

A node that was killed leaves grandchildren behind (its direct children die with it). At start, and again at the end,
everything that carries this node's state folder is killed. Only processes of this user can be seen, which is enough.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

STATE_VARIABLE = "TIDEGATE_NODE_STATE"
POD_VARIABLE = "TIDEGATE_POD_UID"


def marked(variable: str, value: str) -> Iterator[int]:
    """Yield the pids of processes whose environment has `variable` = `value`, this process excepted."""
    wanted = f"{variable}={value}".encode()
    own = os.getpid()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == own:
            continue
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def kill_marked(variable: str, value: str, rounds: int = 5) -> int:
    """SIGKILL every marked process, again for those born meanwhile; return how many were met in all."""
    killed: set[int] = set()
    for _ in range(rounds):
        found = set(marked(variable, value))
        if not found - killed:
            break
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= found
    return len(killed)
