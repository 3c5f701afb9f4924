"""The cache of a node: files named by the digest of their bytes, and for each source which of them it consists of.

    blobs/<sha256>          bytes, read-only; the same bytes of two models lie here once
    sources/<key>.json      manifest: the source's files with versions and digests
    partial/<key>.<n>       a download that broke off, with its version beside it
    locks/<key>             one fetch of a source at a time, across all processes of the node

Files get into a pod's folder as hard links (a copy where that cannot be), so pods that map a model share its pages, and
evicting it from the cache takes nothing from a running pod.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from runtimes.storage.listing import Kept, safe_path

LOCK_POLL_S = 0.05
READ_ONLY = 0o444
ORPHAN_AGE_S = 3600.0


class Busy(TimeoutError):
    """Another process of the node fetches the same source and has not ended in time."""


@dataclass(frozen=True)
class Manifest:
    """A source as it was fetched last. `used_unix_s` is its last use, for eviction."""

    source: str
    files: tuple[Kept, ...]
    fetched_unix_s: float
    used_unix_s: float


class Cache:
    """One cache folder; safe to use from several processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("blobs", "sources", "partial", "locks"):
            (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    def blob(self, sha256: str) -> Path:
        """Return where the bytes of a digest lie, if they do."""
        return self.root / "blobs" / sha256

    def present(self, kept: Sequence[Kept]) -> frozenset[str]:
        """Return the digests of `kept` whose bytes are here whole."""
        found = set()
        for one in kept:
            with contextlib.suppress(FileNotFoundError):
                if self.blob(one.sha256).stat().st_size == one.size:
                    found.add(one.sha256)
        return frozenset(found)

    def partial(self, key: str, number: int) -> Path:
        """Return where the download of a source's file number `number` is collected."""
        return self.root / "partial" / f"{key}.{number}"

    def adopt(self, file: Path, sha256: str) -> None:
        """Make a finished file the blob of its digest."""
        file.chmod(READ_ONLY)
        file.replace(self.blob(sha256))

    def manifest(self, key: str) -> Manifest | None:
        """Return what is remembered of a source; an unreadable manifest counts as none."""
        try:
            document = json.loads((self.root / "sources" / f"{key}.json").read_text())
            files = tuple(Kept(**one) for one in document.pop("files"))
            return Manifest(files=files, **document)
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def remember(self, key: str, manifest: Manifest) -> None:
        """Write a source's manifest whole."""
        path = self.root / "sources" / f"{key}.json"
        beside = path.with_name(f"{key}.{os.getpid()}.new")
        beside.write_text(json.dumps(asdict(manifest)))
        beside.replace(path)

    def link(self, files: Sequence[Kept], folder: Path) -> None:
        """Put files into `folder`, replacing what has their names; raises OSError."""
        for one in files:
            target = folder / safe_path(one.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            place(self.blob(one.sha256), target)

    @contextlib.asynccontextmanager
    async def lock(self, key: str, deadline: float) -> AsyncIterator[None]:
        """Hold a source's lock; raises `Busy` when `deadline` (monotonic) passes before it is free."""
        with self._lock_file(key) as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise Busy("another process still fetches this source") from None
                    await asyncio.sleep(LOCK_POLL_S)
            yield

    def _lock_file(self, key: str) -> IO[str]:
        return open(self.root / "locks" / key, "w")

    def evict(self, limit_bytes: int, keep: str) -> int:
        """Forget the sources not used for the longest time until blobs fit `limit_bytes`; returns bytes freed.

        `keep` is the key of the source in use. Blobs that no manifest names go too, once they are old enough not to
        belong to a fetch that is under way.
        """
        blobs = {path.name: path.stat() for path in (self.root / "blobs").iterdir()}
        sizes = {name: blob.st_size for name, blob in blobs.items()}
        before = total = sum(sizes.values())
        manifests = {
            path.stem: found for path in (self.root / "sources").glob("*.json") if (found := self.manifest(path.stem))
        }
        named = {one.sha256 for found in manifests.values() for one in found.files}
        for name, blob in blobs.items():
            if name not in named and time.time() - blob.st_ctime > ORPHAN_AGE_S:
                self.blob(name).unlink(missing_ok=True)
                total -= sizes.pop(name)
        for key in sorted(manifests, key=lambda one: manifests[one].used_unix_s):
            if total <= limit_bytes:
                break
            if key == keep:
                continue
            others = {one.sha256 for name, found in manifests.items() if name != key for one in found.files}
            for sha256 in {one.sha256 for one in manifests[key].files} - others:
                self.blob(sha256).unlink(missing_ok=True)
                total -= sizes.pop(sha256, 0)
            (self.root / "sources" / f"{key}.json").unlink(missing_ok=True)
            del manifests[key]
        return before - total


def place(source: Path, target: Path) -> None:
    """Hard-link `source` as `target`, or copy it where a link cannot be made (another file system)."""
    beside = target.with_name(f".{target.name}.{os.getpid()}.new")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:
        shutil.copyfile(source, beside)
        beside.chmod(READ_ONLY)
    beside.replace(target)
