"""From a URI to a folder: list → compare with the cache → download what is missing → remember → link → make room.

Read this first. What is in the cache already is not fetched again: a second start asks the source for its list and
nothing more, and when the source cannot be reached, uses what it has and says so.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtimes.storage import archive, listing, remotes
from runtimes.storage.archive import ArchiveError
from runtimes.storage.cache import Cache, Manifest, place
from runtimes.storage.download import download, patiently
from runtimes.storage.listing import Entry, Kept
from runtimes.storage.progress import Progress
from runtimes.storage.remotes import Final, Remote, StoreError
from runtimes.storage.source import Source

log = logging.getLogger(__name__)

PARALLEL = 4
LIST_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Fetched:
    """What one fetch did: files and bytes of the model, bytes that came over the network, seconds, and its origin."""

    source: str
    files: int
    size_bytes: int
    fetched_bytes: int
    duration_s: float
    came_from: str
    """fetched, cache (nothing had changed), stale cache (the source could not be asked), or file"""


async def fetch(
    source: Source,
    folder: Path,
    cache: Cache,
    *,
    timeout_s: float,
    limit_bytes: int = 0,
    environ: Mapping[str, str] | None = None,
) -> Fetched:
    """Put the model at `source` into `folder`.

    `timeout_s`: for everything together; `limit_bytes`: how large the cache may stay (0: any size). Raises `StoreError`
    (`Final` when trying again is no use), `ArchiveError`, `ListingError`, `Busy`, OSError.
    """
    began = time.monotonic()
    deadline = began + timeout_s
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    if source.scheme == "file":
        count, size = await asyncio.to_thread(_local, source, folder)
        return Fetched(source.name, count, size, 0, time.monotonic() - began, "file")
    key = listing.key_of(f"{source.name}#{source.sha256}")
    async with cache.lock(key, deadline), remotes.opened(source, environ) as remote:
        before = cache.manifest(key)
        files, fetched_bytes, came_from = await _current(source, remote, cache, key, before, deadline)
        now = time.time()
        fetched_at = now if came_from == "fetched" or before is None else before.fetched_unix_s
        cache.remember(key, Manifest(source.name, tuple(files), fetched_at, now))
        await asyncio.to_thread(cache.link, files, folder)
        if limit_bytes and (freed := await asyncio.to_thread(cache.evict, limit_bytes, key)):
            log.info("made room in the cache: %d MB", freed >> 20)
    size = sum(one.size for one in files)
    return Fetched(source.name, len(files), size, fetched_bytes, time.monotonic() - began, came_from)


async def _current(
    source: Source, remote: Remote, cache: Cache, key: str, before: Manifest | None, deadline: float
) -> tuple[list[Kept], int, str]:
    kept = list(before.files) if before else []
    present = await asyncio.to_thread(cache.present, kept)
    is_whole = bool(kept) and all(one.sha256 in present for one in kept)
    if is_whole and source.sha256 and not source.archive_suffix:
        return kept, 0, "cache"  # the digest says what the bytes are: there is nothing to ask
    # With a whole copy at hand nobody waits long for a store that is away.
    patience = min(deadline, time.monotonic() + LIST_TIMEOUT_S) if is_whole else deadline
    try:
        entries = listing.checked(await patiently(remote.entries, patience, source.name), source.name)
    except StoreError as error:
        if isinstance(error, Final) or not is_whole:
            raise
        log.warning("%s; using what was fetched before", error)
        return kept, 0, "stale cache"
    if source.archive_suffix:
        return await _archived(source, remote, cache, key, (kept, is_whole), entries[0], deadline)
    wanted = listing.missing(entries, kept, present)
    if not wanted:
        return [one for one in kept if one.path in {entry.path for entry in entries}], 0, "cache"
    new, count = await _download(source, remote, cache, key, wanted, deadline)
    unchanged = {entry.path for entry in entries} - {one.path for one in new}
    return [*(one for one in kept if one.path in unchanged), *new], count, "fetched"


async def _download(
    source: Source, remote: Remote, cache: Cache, key: str, wanted: list[Entry], deadline: float
) -> tuple[list[Kept], int]:
    progress = Progress(source.name, sum(max(0, entry.size) for entry in wanted))
    slots = asyncio.Semaphore(PARALLEL)

    async def one(number: int, entry: Entry) -> Kept:
        async with slots:
            partial = cache.partial(key, number)
            digest = await download(remote, entry, partial, deadline, progress.add)
            if source.sha256 and digest != source.sha256:
                partial.unlink()
                raise Final(f"{source.name}: the digest is sha256={digest}, not the one in the URI")
            size = partial.stat().st_size
            cache.adopt(partial, digest)
            partial.with_name(f"{partial.name}.version").unlink(missing_ok=True)
            return Kept(entry.path, size, entry.version, digest)

    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(one(*item)) for item in enumerate(wanted)]
    except* (StoreError, OSError) as errors:
        raise _first(errors) from None
    return [task.result() for task in running], progress.done_bytes


async def _archived(
    source: Source,
    remote: Remote,
    cache: Cache,
    key: str,
    known: tuple[list[Kept], bool],
    entry: Entry,
    deadline: float,
) -> tuple[list[Kept], int, str]:
    """Members carry the archive's version, so that an unchanged archive is known by any of them."""
    kept, is_whole = known
    version = entry.version or source.sha256
    if is_whole and version and all(one.version == version for one in kept):
        return kept, 0, "cache"
    (whole,), count = await _download(source, remote, cache, key, [entry], deadline)
    packed = cache.blob(whole.sha256)
    unpacked = cache.root / "partial" / f"{key}.{os.getpid()}.unpacked"
    unpacked.mkdir()
    try:
        members = await asyncio.to_thread(archive.unpack, packed, unpacked)
        files = []
        for path, file, digest in members:
            files.append(Kept(path, file.stat().st_size, version, digest))
            cache.adopt(file, digest)
    except ArchiveError as error:
        raise Final(f"{source.name}: {error}") from error
    finally:
        archive.remove(unpacked)
        packed.unlink(missing_ok=True)
    return files, count, "fetched"


def _local(source: Source, folder: Path) -> tuple[int, int]:
    path = Path(source.path)
    if path.is_file():
        files = [path]
        base = path.parent
    elif path.is_dir():
        files = [one for one in sorted(path.rglob("*")) if one.is_file()]
        base = path
    else:
        raise Final(f"{source.name}: there is no such file or folder on this node")
    listing.checked([Entry(str(one.relative_to(base)), one.stat().st_size) for one in files], source.name)
    for one in files:
        target = folder / one.relative_to(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        place(one.resolve(), target)
    return len(files), sum(one.stat().st_size for one in files)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error to tell: a final one before others, since it says what to do."""
    flat = list(_flat(errors))
    return next((one for one in flat if isinstance(one, Final)), flat[0])


def _flat(errors: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for one in errors.exceptions:
        found += _flat(one) if isinstance(one, BaseExceptionGroup) else [one]
    return found


def as_document(fetched: Fetched) -> dict[str, object]:
    """Return what `--json` prints."""
    return dataclasses.asdict(fetched)
