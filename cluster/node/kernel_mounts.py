"""What containers see of the kernel's own files: control groups and settings, read-only.

The node shares one mount namespace with its pods (`cluster_names` makes it), so this is done once, at the node's start,
and costs a container nothing. `below` is pure; `protect` mounts. Where it is refused, pods see the
machine's own mounts, and everything else works.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

GROUPS = "/sys/fs/cgroup"
SETTINGS = "/proc/sys"
READ_ONLY, BIND, RECURSIVE, REMOUNT, RELATIME = 0x1, 0x1000, 0x4000, 0x20, 0x200000
_KEPT = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME
"""Flags of statvfs(3) that mount(2) has by the same numbers; a mount keeps those it has."""


def protect(paths: tuple[str, ...] = (GROUPS, SETTINGS)) -> str:
    """Put read-only mounts over these folders and all that is mounted below them; returns why not, if not.

    For a process in a mount namespace of its own. What it opened before stays as it was.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for path in paths:
        if not Path(path).is_dir():
            continue
        if libc.mount(path.encode(), path.encode(), None, BIND | RECURSIVE, None):
            return f"{path} cannot be mounted: {os.strerror(ctypes.get_errno())}"
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            points = below(file.read(), path)
        for point in points:
            try:
                kept = os.statvfs(point).f_flag & _KEPT
            except OSError as error:
                return f"{point} cannot be made read-only: {error.strerror}"
            flags = BIND | REMOUNT | READ_ONLY | RELATIME | kept
            if libc.mount(None, os.fsencode(point), None, flags, None):
                return f"{point} cannot be made read-only: {os.strerror(ctypes.get_errno())}"
    return ""


def below(mountinfo: str, path: str) -> list[str]:
    """Return the mount points at and below `path`, by the text of /proc/self/mountinfo, each once."""
    points = (line.split(" ", 5)[4] for line in mountinfo.splitlines())
    return list(dict.fromkeys(point for point in points if point == path or point.startswith(f"{path}/")))
