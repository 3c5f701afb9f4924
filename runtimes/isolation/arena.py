"""The memory that a server shares with one worker: anonymous, of a fixed size, gone with the last process that has it.

It has no name in /dev/shm, so nothing is left behind by a process that is killed. Its size is sealed: a worker cannot
shrink it under the server's feet. Pages that nobody touched cost nothing; `trim` gives back those that were.
"""

from __future__ import annotations

import fcntl
import mmap
import os

from runtimes.isolation.arena_plan import ArenaPlan

_F_ADD_SEALS = 1033
_F_SEAL_SHRINK_AND_GROW = 0x2 | 0x4


class Arena:
    """The server's side: makes the memory, hands out pieces."""

    def __init__(self, size_bytes: int) -> None:
        self._plan = ArenaPlan(size_bytes)
        self.descriptor = os.memfd_create("tidegate-worker", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, self._plan.size_bytes)
        fcntl.fcntl(self.descriptor, _F_ADD_SEALS, _F_SEAL_SHRINK_AND_GROW)
        self._map = mmap.mmap(self.descriptor, self._plan.size_bytes)
        self._view = memoryview(self._map)
        self._touched_to = 0

    @property
    def size_bytes(self) -> int:
        """How much there is."""
        return self._plan.size_bytes

    @property
    def taken_bytes(self) -> int:
        """How much is handed out."""
        return self._plan.taken_bytes

    def take(self, size_bytes: int) -> int | None:
        """Return where a piece begins, None when there is no room now."""
        return self._plan.take(size_bytes)

    def piece(self, start: int) -> memoryview:
        """Return the memory of a piece that is taken."""
        return self._view[start : start + self._plan.size_of(start)]

    def give_back(self, start: int) -> None:
        """Take a piece back."""
        self._touched_to = max(self._touched_to, start + self._plan.give_back(start))

    def trim(self) -> None:
        """Give the pages of free pieces back to the system. Touching them again costs, so do this now and then."""
        for start, size in self._plan.free():
            end = min(start + size, self._touched_to)
            if end > start and not self._map.closed:
                self._map.madvise(mmap.MADV_REMOVE, start, end - start)
        self._touched_to = 0

    def close(self) -> None:
        """Let the memory go; pieces that somebody still looks at stay until then."""
        os.close(self.descriptor)
        try:
            self._view.release()
            self._map.close()
        except BufferError:
            pass  # freed with the last array on it
