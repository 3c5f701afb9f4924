"""What is at a source, what the cache has of it, and so what must be fetched.

Pure. A file is known again by its path, size and version (an ETag, a revision, a modification time): equal means equal
bytes. A source that tells no version is fetched each time, and still kept only once, since files are named by content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

ENTRIES_LIMIT = 100_000


class ListingError(ValueError):
    """What the source lists cannot be put into a folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file at the source: relative `path`, `size` in bytes (-1: unknown), `version` (empty: unknown)."""

    path: str
    size: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file in the cache: where it belongs, what it was at the source, and the digest of its bytes."""

    path: str
    size: int
    version: str
    sha256: str


def key_of(name: str) -> str:
    """Return the name under which the cache remembers a source."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def missing(entries: Sequence[Entry], kept: Sequence[Kept], present: frozenset[str]) -> list[Entry]:
    """Return the entries that must be fetched; `present` are the digests whose bytes are in the cache."""
    known = {(one.path, one.version, one.size): one.sha256 for one in kept if one.version and one.sha256 in present}
    return [one for one in entries if not one.version or (one.path, one.version, one.size) not in known]


def checked(entries: Sequence[Entry], source: str) -> list[Entry]:
    """Return `entries`, once it is certain that all of them can lie in one folder; raises `ListingError`."""
    if not entries:
        raise ListingError(f"{source}: there is nothing")
    if len(entries) > ENTRIES_LIMIT:
        raise ListingError(f"{source}: more than {ENTRIES_LIMIT} files")
    seen: set[str] = set()
    for entry in entries:
        path = safe_path(entry.path)
        if path in seen:
            raise ListingError(f"{source}: {path} is listed twice")
        seen.add(path)
    for path in seen:
        for parent in PurePosixPath(path).parents:
            if str(parent) in seen:
                raise ListingError(f"{source}: {parent} is a file and a folder")
    return list(entries)


def safe_path(path: str) -> str:
    """Return `path` when it stays inside a folder; raises `ListingError`."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\0" in path or "\\" in path or str(pure) in ("", "."):
        raise ListingError(f"{path!r} leads out of the folder")
    return str(pure)


def under(prefix: str, name: str) -> str:
    """Return a name relative to a prefix: `a/b/c` under `a/b` is `c`; a name equal to its prefix is its last part."""
    if name == prefix:
        return name.rpartition("/")[2]
    return name[len(prefix) + 1 :] if prefix else name
