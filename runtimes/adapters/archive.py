"""TorchServe's model archives: a zip with MAR-INF/MANIFEST.json, a handler, weights and extra files.

Unpacking trusts nothing: a name that leads outside, a link, too many files or too many bytes refuse the archive. A
handler is code that comes with the model, so it runs only where `allow_code` is set.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from runtimes import leftovers
from runtimes.config import Config
from runtimes.opening import must_allow_code
from runtimes.repository.layout import ModelConfig

MANIFEST = "MAR-INF/MANIFEST.json"
FILES_LIMIT = 10_000
BYTES_LIMIT = 64 << 30
MANIFEST_LIMIT_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
_PREFIX = "tidegate-mar-"


class ArchiveError(Exception):
    """An archive that is not unpacked: the message names the entry and why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of its model."""

    model_name: str
    model_version: str
    handler: str
    serialized_file: str = ""
    model_file: str = ""


def read_manifest(archive: zipfile.ZipFile) -> Manifest:
    """Return the manifest; raises ArchiveError for one that is missing or names files outside."""
    try:
        info = archive.getinfo(MANIFEST)
    except KeyError:
        raise ArchiveError(f"there is no {MANIFEST}: this is not a model archive") from None
    if info.file_size > MANIFEST_LIMIT_BYTES:
        raise ArchiveError(f"{MANIFEST} is larger than {MANIFEST_LIMIT_BYTES} bytes")
    try:
        model = json.loads(archive.read(info))["model"]
        manifest = Manifest(
            str(model["modelName"]),
            str(model.get("modelVersion", "1.0")),
            str(model["handler"]),
            str(model.get("serializedFile") or ""),
            str(model.get("modelFile") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArchiveError(f"{MANIFEST}: {error!r}") from error
    for name in (manifest.serialized_file, manifest.model_file, manifest.handler.split(":")[0]):
        if name:
            checked_name(name)
    return manifest


def checked_name(name: str) -> PurePosixPath:
    """Return an entry's path; raises ArchiveError for one that leads outside of the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0] or "\0" in name:
        raise ArchiveError(f"{name!r} leads outside of the archive's folder")
    return path


def unpack(file: Path, folder: Path, bytes_limit: int = BYTES_LIMIT) -> Manifest:
    """Unpack an archive into an empty folder and return its manifest; raises ArchiveError, with nothing left outside.

    What is counted are the bytes that come out, whatever the archive claims.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = read_manifest(archive)
            entries = archive.infolist()
            if len(entries) > FILES_LIMIT:
                raise ArchiveError(f"{len(entries)} entries; at most {FILES_LIMIT} are unpacked")
            left = bytes_limit
            for entry in entries:
                left = _unpack_one(archive, entry, folder, left)
            return manifest
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ArchiveError(f"{file.name} is not a zip file that can be read: {error}") from error


def _unpack_one(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, left: int) -> int:
    target = folder / checked_name(entry.filename)
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ArchiveError(f"{entry.filename!r} is a link")
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return left
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, target.open("xb") as out:
        while chunk := source.read(_CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise ArchiveError(f"{entry.filename!r} grows beyond the limit for one archive")
            out.write(chunk)
    return left


def open_file(file: Path, model: ModelConfig, config: Config) -> Any:
    """Return the handler of an archive as a model; raises CodeRefused, ArchiveError."""
    must_allow_code(config, f"{file.name} (its handler)")
    from runtimes.adapters.torchserve import HandlerModel

    leftovers.sweep(Path(tempfile.gettempdir()), _PREFIX)  # a worker that was killed cannot remove its own
    folder = tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-")
    try:
        manifest = unpack(file, Path(folder.name))
    except BaseException:
        folder.cleanup()
        raise
    return HandlerModel(Path(folder.name), manifest, device=config.device, keep=folder)
