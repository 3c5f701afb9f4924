"""Control groups of containers, as folders and files to write, for both versions of the kernel's interface.

Pure. Where the hierarchies are follows from /proc/self/mountinfo and /proc/self/cgroup; what is written follows from a
container's limits. Requests become no weights: most processes of a machine are in no group of ours, and one that asks
for a tenth of a processor must not get less than one that asks for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster import quantities
from tidegate.kube.api import Object

CONTROLLERS = ("memory", "cpu", "pids")
UNIFIED = "unified"
"""Under which name the one hierarchy of version 2 goes here."""
PERIOD_US = 100_000
QUOTA_LEAST_US = 1_000
"""What the kernel takes at least, as the kubelet has it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where groups can be made: folder and mount point of each controller (version 1), or of `unified` (version 2).

    `missing` says why there is none.
    """

    version: int = 0
    folders: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a group may use at most: bytes, microseconds of processor time in each `PERIOD_US`, processes and threads;
    0 is no limit."""

    memory_bytes: int = 0
    quota_us: int = 0
    pids: int = 0

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to hold."""
        return self != Amounts()


@dataclass(frozen=True, slots=True)
class Write:
    """One file of one controller's folder; a file that is `optional` may be missing, and an amount that is `bounded`
    is refused as invalid where the groups above allow less, which then holds."""

    controller: str
    file: str
    text: str
    optional: bool = False
    bounded: bool = False


def layout(mountinfo: str, own: str) -> Layout:
    """Return the layout by the texts of /proc/self/mountinfo and /proc/self/cgroup.

    Groups of version 1 go below the node's own, whose limits so hold for them. In version 2 a group with processes
    cannot have groups with limits below it, so they go to the root, as a container engine's do.
    """
    places = _own_places(own)
    first: dict[str, str] = {}
    mounts: dict[str, str] = {}
    second = ""
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(" - ")
        fields, kind, options = head.split(), tail.partition(" ")[0], tail.rpartition(" ")[2]
        if not kind.startswith("cgroup"):
            continue  # a mount of another kind may be without a source
        root, point = fields[3], fields[4]
        if kind == "cgroup2":
            second = second or point
        elif kind == "cgroup":
            for controller in set(options.split(",")) & set(CONTROLLERS):
                below = places.get(controller, "/").removeprefix(root.rstrip("/")).strip("/")
                first.setdefault(controller, f"{point}/{below}".rstrip("/"))
                mounts.setdefault(controller, point)
    if set(first) == set(CONTROLLERS):
        return Layout(1, first, mounts)
    if second and not first:
        return Layout(2, {UNIFIED: second}, {UNIFIED: second})
    missing = ", ".join(sorted(set(CONTROLLERS) - set(first)))
    return Layout(missing=f"no control groups for {missing} are mounted" if first else "no control groups are mounted")


def amounts(container: Object, pids: int) -> Amounts:
    """Return the limits of a container; `pids` is the node's own, 0 for none."""
    limits = (container.get("resources") or {}).get("limits") or {}
    memory, cpu = quantities.parse(limits.get("memory") or "0"), quantities.parse(limits.get("cpu") or "0")
    quota_us = max(QUOTA_LEAST_US, math.ceil(cpu * PERIOD_US)) if cpu > 0 else 0
    return Amounts(math.ceil(memory), quota_us, pids)


def writes(version: int, wanted: Amounts) -> list[Write]:
    """Return the files that hold a group to `wanted`, in order."""
    return _first(wanted) if version == 1 else _second(wanted)


def path_of(pod_uid: str, container: str) -> str:
    """Return the group of a container below those of its node. Its own name could be a kernel's file (`tasks`)."""
    return f"{pod_uid}/of-{container}"


def controllers(version: int, wanted: Amounts) -> tuple[str, ...]:
    """Return the controllers in whose folders a group with these limits is needed."""
    return tuple(dict.fromkeys(one.controller for one in writes(version, wanted)))


def _first(wanted: Amounts) -> list[Write]:
    found = []
    if wanted.memory_bytes:
        text = str(wanted.memory_bytes)
        found.append(Write("memory", "memory.limit_in_bytes", text))
        # With swap counted, there is none; a kernel may lack the file.
        found.append(Write("memory", "memory.memsw.limit_in_bytes", text, optional=True))
    if wanted.quota_us:
        found.append(Write("cpu", "cpu.cfs_period_us", str(PERIOD_US)))
        found.append(Write("cpu", "cpu.cfs_quota_us", str(wanted.quota_us), bounded=True))
    if wanted.pids:
        found.append(Write("pids", "pids.max", str(wanted.pids)))
    return found


def _second(wanted: Amounts) -> list[Write]:
    found = []
    if wanted.memory_bytes:
        found.append(Write(UNIFIED, "memory.max", str(wanted.memory_bytes)))
        found.append(Write(UNIFIED, "memory.swap.max", "0", optional=True))
        # All of the container or nothing, as since Kubernetes 1.28.
        found.append(Write(UNIFIED, "memory.oom.group", "1", optional=True))
    if wanted.quota_us:
        found.append(Write(UNIFIED, "cpu.max", f"{wanted.quota_us} {PERIOD_US}"))
    if wanted.pids:
        found.append(Write(UNIFIED, "pids.max", str(wanted.pids)))
    return found


def oom_file(version: int) -> tuple[str, str]:
    """Return controller and file that count processes killed for memory."""
    return ("memory", "memory.oom_control") if version == 1 else (UNIFIED, "memory.events")


def oom_kills(text: str) -> int:
    """Return that count from the file's text."""
    for line in text.splitlines():
        name, _, number = line.partition(" ")
        if name == "oom_kill":
            return int(number)
    return 0


def _own_places(own: str) -> dict[str, str]:
    """Return the path of this process in each hierarchy of version 1 by controller."""
    found = {}
    for line in own.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            # Outside of what a cgroup namespace shows: the mount's own root must do.
            found[name] = "/" if path.startswith("/..") else path
    return found
