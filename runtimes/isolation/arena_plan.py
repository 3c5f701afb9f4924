"""Which pieces of a bounded memory are taken: first fit, neighbours joined again when they are given back (pure).

Pieces begin at page borders, so that what is free can be handed back to the system.
"""

from __future__ import annotations

PAGE_BYTES = 4096


class ArenaPlan:
    """Hands out pieces of `size_bytes`; all is forgotten with the object."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes // PAGE_BYTES * PAGE_BYTES
        self._free: list[tuple[int, int]] = [(0, self.size_bytes)] if self.size_bytes else []
        self._taken: dict[int, int] = {}

    @property
    def taken_bytes(self) -> int:
        """How much is handed out."""
        return sum(self._taken.values())

    def take(self, wanted_bytes: int) -> int | None:
        """Return where a piece of at least `wanted_bytes` begins, None when there is none as large now."""
        size = max(-(-wanted_bytes // PAGE_BYTES), 1) * PAGE_BYTES
        for position, (start, room) in enumerate(self._free):
            if room >= size:
                self._free[position : position + 1] = [(start + size, room - size)] if room > size else []
                self._taken[start] = size
                return start
        return None

    def free(self) -> list[tuple[int, int]]:
        """Return begin and size of what is free."""
        return list(self._free)

    def size_of(self, start: int) -> int:
        """Return how large the piece at `start` is; KeyError for one that is not taken."""
        return self._taken[start]

    def give_back(self, start: int) -> int:
        """Return the size of the piece that is free now; KeyError for one that is not taken."""
        size = self._taken.pop(start)
        joined: list[tuple[int, int]] = []
        for begin, room in sorted([*self._free, (start, size)]):
            if joined and sum(joined[-1]) == begin:
                joined[-1] = (joined[-1][0], joined[-1][1] + room)
            else:
                joined.append((begin, room))
        self._free = joined
        return size
