"""Writes a pod's planned volumes to disk. Files appear whole (written aside, then renamed)."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from cluster.node.environment import ConfigError
from cluster.node.volumes import File, Folder, Token


def materialise(root: Path, folders: Mapping[str, Folder], tokens: Mapping[Token, str], claims: Path) -> dict[str, str]:
    """Write every volume under `root` and return each one's real folder.

    `tokens` fill service-account token files; under `claims` each claim has a folder that is never removed.
    """
    found = {}
    for name, folder in folders.items():
        if folder.claim:
            (claims / folder.claim).mkdir(parents=True, exist_ok=True)
            found[name] = str(claims / folder.claim)
        else:
            found[name] = _host_path(folder) if folder.host_path else _own_folder(root / name, folder, tokens)
    return found


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Write a file so that a reader sees the old or the new content, never a part; the same content is left alone."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == content:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
    aside.chmod(mode)
    aside.replace(path)


def _own_folder(path: Path, folder: Folder, tokens: Mapping[Token, str]) -> str:
    path.mkdir(parents=True, exist_ok=True)
    for name, file in folder.files.items():
        target = (path / name).resolve()
        if not target.is_relative_to(path.resolve()):
            raise ConfigError(f"path {name!r} leads out of its volume")
        if isinstance(file, File):
            write_whole(target, file.content, file.mode)
        else:
            write_whole(target, tokens[file].encode(), 0o600)
    return str(path)


def _host_path(folder: Folder) -> str:
    path, kind = Path(folder.host_path), folder.host_type
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "FileOrCreate":
        path.touch()
    checks = {"Directory": Path.is_dir, "File": Path.is_file, "Socket": Path.is_socket}
    if kind in checks and not checks[kind](path):
        raise ConfigError(f"hostPath {path} is not a {kind.lower()}")
    if kind in ("CharDevice", "BlockDevice") and not (path.exists() and not stat.S_ISREG(path.stat().st_mode)):
        raise ConfigError(f"hostPath {path} is not a device")
    return str(path)
