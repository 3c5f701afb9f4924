"""Unpacks tar and zip files, with every path, kind and size checked before a byte is written.

Only plain files are taken. A member that is a link, a device, or whose path leads out of the folder stops everything:
an archive with one of these was not made by somebody who meant well.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from runtimes.storage.listing import ENTRIES_LIMIT, ListingError, safe_path

CHUNK_BYTES = 1 << 20
SIZE_LIMIT_BYTES = 200 << 30


class ArchiveError(ValueError):
    """The archive is broken or not to be trusted; the message names the member."""


def unpack(archive: Path, folder: Path, limit_bytes: int = SIZE_LIMIT_BYTES) -> list[tuple[str, Path, str]]:
    """Unpack `archive` into `folder` (empty); return path, file and SHA-256 of each member; raises `ArchiveError`."""
    try:
        members = _zip(archive) if zipfile.is_zipfile(archive) else _tar(archive)
        return list(_written(members, folder, limit_bytes))
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ListingError, RuntimeError) as error:
        raise ArchiveError(str(error) or type(error).__name__) from error


def _written(
    members: Iterator[tuple[str, IO[bytes]]], folder: Path, limit_bytes: int
) -> Iterator[tuple[str, Path, str]]:
    room, seen = limit_bytes, set()
    for path, stream in members:
        if path in seen:
            raise ListingError(f"{path!r} is in it twice")
        seen.add(path)
        if len(seen) > ENTRIES_LIMIT:
            raise ListingError(f"more than {ENTRIES_LIMIT} files")
        # Flat, so that no member's path decides where anything is written.
        target = folder / str(len(seen))
        digest = hashlib.sha256()
        with open(target, "wb") as file:
            while chunk := stream.read(CHUNK_BYTES):
                room -= len(chunk)
                if room < 0:
                    raise ListingError(f"unpacked it is larger than {limit_bytes} bytes")
                digest.update(chunk)
                file.write(chunk)
        yield path, target, digest.hexdigest()
    if not seen:
        raise ListingError("there is no file in it")


def _tar(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            if member.isdir():
                continue
            if not member.isfile():
                raise ListingError(f"{member.name!r} is not a plain file")
            stream = tar.extractfile(member)
            assert stream is not None  # plain files have one
            yield safe_path(member.name.removeprefix("./")), stream


def _zip(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if member.is_dir():
                continue
            if (member.external_attr >> 28) == 0o12:
                raise ListingError(f"{member.filename!r} is not a plain file")
            with opened.open(member) as stream:
                yield safe_path(member.filename), stream


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(folder: Path) -> None:
    """Delete a folder with all in it, read-only files too."""
    shutil.rmtree(folder, ignore_errors=True)
