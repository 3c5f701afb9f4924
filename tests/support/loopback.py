"""A loopback network of this test process alone: no other worker, test run or instance on this machine has it."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from cluster import instance


@functools.cache
def octet() -> int:
    """Return N, where 127.N.0.0/16 is ours until this process ends: held in the way instances hold theirs."""
    found, holder = instance.hold_octet(Path(f"/test-process/{os.getpid()}"), 0)
    holder.detach()
    return found
