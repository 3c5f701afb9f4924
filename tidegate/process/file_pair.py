"""Two files that belong together, read again when either has changed: a certificate and its key.

Mounted Secrets are replaced while a process runs. What the files mean is the caller's matter.
"""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]
"""Of each file: inode, time of change in nanoseconds, size in bytes."""


class FilePair:
    """Two text files; nothing is read before the first `look`."""

    def __init__(self, first: Path, second: Path) -> None:
        self._files = (first, second)
        self._seen: Stamp | None = None

    def look(self) -> tuple[str, str] | None:
        """Return both contents when they have changed since the last look, else None; missing files are told once."""
        try:
            stamp = tuple(_stamp(path) for path in self._files)
            if stamp == self._seen:
                return None
            first, second = (path.read_text() for path in self._files)
        except (OSError, UnicodeDecodeError) as error:
            if self._seen != ():
                log.error("%s cannot be read: %s", self._files[0], error)
            self._seen = ()
            return None
        self._seen = stamp
        return first, second


def _stamp(path: Path) -> tuple[int, int, int]:
    state = path.stat()
    return state.st_ino, state.st_mtime_ns, state.st_size
