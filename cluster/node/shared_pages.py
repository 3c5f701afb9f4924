"""Arranges the memory of a template before it forks, so that children write to few of the pages that they share.

A page that a child writes to becomes a copy of its own, and to create an object is to write. So children must find
neither holes between objects that stay (they would fill them, a page each), nor caches whose entries they replace.

Runs under any interpreter: standard library only, and nothing of Tidegate.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys

_BYTES_HEAD = sys.getsizeof(b"")
_CLASS = re.compile(r"^ +\d+ +(\d+) +\d+ +\d+ +(\d+)$", re.MULTILINE)
_HOLES_LIMIT = 1 << 20
"""The most objects by which the holes of one size are filled."""
_fillers: list[list[object]] = []


def empty_caches() -> None:
    """Empty the cache of types' attributes; call when all is imported, before what children do is rehearsed.

    It refers to each attribute's name: who replaces an entry writes to the old name and to the new one.
    """
    with contextlib.suppress(AttributeError):  # an interpreter without it has its own ways
        sys._clear_type_cache()


def settle() -> None:
    """Collect garbage and fill the holes; call when nothing but forking is left to do."""
    _forget_missing_folders()
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # an interpreter with another allocator has other holes
        for size, free in holes(_allocator_statistics()).items():
            _fillers.append(_objects(size, min(free, _HOLES_LIMIT)))
    # Keeps the collector from touching what children share.
    gc.freeze()


def holes(statistics: str) -> dict[int, int]:
    """Return how many objects of each size in bytes fit between others, by what `sys._debugmallocstats` prints."""
    return {int(size): int(free) for size, free in _CLASS.findall(statistics)}


def _objects(size: int, count: int) -> list[object]:
    """Return objects that take `size` bytes each, which is a multiple of 16."""
    if size <= _BYTES_HEAD:
        return [object() if size == 16 else float(number) for number in range(count)]
    return [bytes(size - _BYTES_HEAD) for _ in range(count)]


def _forget_missing_folders() -> None:
    # A folder may be there when the child looks for it. All else in the finders' caches is compared with the folders'
    # times at every import.
    for folder, finder in list(sys.path_importer_cache.items()):
        if finder is None:
            del sys.path_importer_cache[folder]


def _allocator_statistics() -> str:
    # It prints to the descriptor of standard error.
    stderr = os.dup(2)
    try:
        with open(os.memfd_create("allocator"), "w+b") as file:
            os.dup2(file.fileno(), 2)
            sys._debugmallocstats()
            os.dup2(stderr, 2)
            file.seek(0)
            return file.read().decode(errors="replace")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
