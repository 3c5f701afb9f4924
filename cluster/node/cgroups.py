"""The control groups of this node's containers: made before a start, joined right after it, removed at the end.

A process that joins waits for the kernel (5 to 25 ms, for all others to come by), so that happens in a thread and the
program runs meanwhile: what it has started by then joins too, and the memory it has got by then stays uncounted. All
groups are below one of this node's own, which a later node of the same state folder sweeps. Which files are written
is `cgroup_plan`'s matter.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from cluster.node import cgroup_plan
from cluster.node.cgroup_plan import Amounts, Layout

log = logging.getLogger(__name__)

JOIN_ROUNDS = 5
REMOVE_TRIES = 5
REMOVE_PAUSE_S = 0.05
PREFIX = "tidegate-"
EVERY_LIMIT = Amounts(1, 1, 1)
NEEDED_OF_UNIFIED = "+memory +cpu +pids"


class Group:
    """One container's group: a folder below each controller that holds it to something."""

    def __init__(self, owner: ControlGroups, path: str, wanted: Amounts) -> None:
        self._owner = owner
        self._path = path
        self.controllers = cgroup_plan.controllers(owner.layout.version, wanted)
        self._before = owner.oom_kills(path)

    def join(self, session: int) -> None:
        """Bring all processes of a session in, also those born meanwhile. Blocks; the processes may have ended."""
        joined: set[int] = set()
        refusals: set[str] = set()
        for _ in range(JOIN_ROUNDS):
            waiting = {session, *_members(session)} - joined
            if not waiting:
                break
            for pid in waiting:
                for controller in self.controllers:
                    try:
                        self._owner.write(controller, f"{self._path}/cgroup.procs", str(pid))
                    except (FileNotFoundError, ProcessLookupError):
                        pass  # the pod, or the process, has ended meanwhile
                    except OSError as error:
                        refusals.add(f"{controller}: {error.strerror}")
            joined |= waiting
        if refusals:
            log.warning("processes of %s are not held to its limits: %s", self._path, "; ".join(sorted(refusals)))

    def has_run_out_of_memory(self) -> bool:
        """Whether a process of it was killed for memory since it was made this time."""
        return self._owner.oom_kills(self._path) > self._before

    def view(self) -> tuple[tuple[str, str], ...]:
        """Return what to bind where, for a container to find its own group in place of the machine's."""
        return tuple((f"{self._owner.folder(one)}/{self._path}", self._owner.mount(one)) for one in self.controllers)


class ControlGroups:
    """The groups of one node, told apart by its state folder. `missing` says why there are none."""

    def __init__(self, layout: Layout, state: str) -> None:
        self.layout = layout
        self.missing = layout.missing
        self._name = PREFIX + hashlib.sha256(state.encode()).hexdigest()[:12]
        self._parents: dict[str, int] = {}
        self._roots: dict[str, int] = {}
        self._made: set[str] = set()
        if not self.missing:
            try:
                self._open()
            except OSError as error:
                self.missing = f"control groups cannot be made: {error.strerror}: {error.filename}"
                self.close()

    def _open(self) -> None:
        # Kept open: pods see these folders read-only, by a mount over them that the node sees as well.
        for controller, folder in self.layout.folders.items():
            own = Path(folder, self._name)
            own.mkdir(exist_ok=True)
            self._parents[controller] = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._roots[controller] = os.open(own, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with (own / "cgroup.procs").open("w"):
                pass  # raises where it must not be written
            if self.layout.version == 2:
                for one in (own.parent, own):
                    (one / "cgroup.subtree_control").write_text(NEEDED_OF_UNIFIED)
            for limit in cgroup_plan.writes(self.layout.version, EVERY_LIMIT):
                # A kernel may be built without some of them.
                if limit.controller == controller and not limit.optional:
                    (own / limit.file).stat()

    def make(self, pod_uid: str, container: str, wanted: Amounts) -> Group:
        """Return a group that holds `container` to `wanted`; raises `OSError`."""
        path = cgroup_plan.path_of(pod_uid, container)
        self._made.add(pod_uid)
        planned = cgroup_plan.writes(self.layout.version, wanted)
        for controller in cgroup_plan.controllers(self.layout.version, wanted):
            for folder in (pod_uid, path):
                self._make_folder(controller, folder)
        for one in planned:
            try:
                self.write(one.controller, f"{path}/{one.file}", one.text)
            except OSError as error:
                if not (one.optional or (one.bounded and error.errno == errno.EINVAL)):
                    raise
        return Group(self, path, wanted)

    def _make_folder(self, controller: str, folder: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, dir_fd=self._roots[controller])
        if self.layout.version == 2 and "/" not in folder:
            self.write(controller, f"{folder}/cgroup.subtree_control", NEEDED_OF_UNIFIED)

    def remove(self, pod_uid: str) -> None:
        """Remove the groups of a pod whose processes have ended; what the kernel still holds goes with the sweep."""
        self._made.discard(pod_uid)
        for _ in range(REMOVE_TRIES):
            if all(_removed(root, pod_uid) for root in self._roots.values()):
                return
            time.sleep(REMOVE_PAUSE_S)
        log.info("control groups of pod %s stay until the node starts anew", pod_uid)

    def has(self, pod_uid: str) -> bool:
        """Whether a group was begun for the pod, also one that could not be made whole."""
        return pod_uid in self._made

    def sweep(self) -> int:
        """Remove what an earlier node of this state folder left; return how many pods that were."""
        found = {name for root in self._roots.values() for name in _folders(root)}
        for name in found:
            self.remove(name)
        return len(found)

    def close(self) -> None:
        """Remove the node's own group if nothing is in it."""
        roots, parents = list(self._roots.values()), list(self._parents.values())
        self._roots, self._parents = {}, {}
        for parent in parents:
            with contextlib.suppress(OSError):
                os.rmdir(self._name, dir_fd=parent)
        for descriptor in [*roots, *parents]:
            os.close(descriptor)

    def folder(self, controller: str) -> str:
        """Return where the node's groups of a controller are."""
        return f"{self.layout.folders[controller]}/{self._name}"

    def mount(self, controller: str) -> str:
        """Return the mount point of a controller."""
        return self.layout.mounts[controller]

    def write(self, controller: str, path: str, text: str) -> None:
        """Write a file below the controller's folder of this node; raises `OSError`."""
        if (root := self._roots.get(controller)) is None:
            raise FileNotFoundError(errno.ENOENT, "the node stops", path)
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=root)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def oom_kills(self, path: str) -> int:
        """Return how many processes of a group were ever killed for memory."""
        controller, file = cgroup_plan.oom_file(self.layout.version)
        try:
            descriptor = os.open(f"{path}/{file}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._roots[controller])
        except (OSError, KeyError):
            return 0
        with open(descriptor, encoding="ascii") as opened:
            return cgroup_plan.oom_kills(opened.read())


def find(state: str) -> ControlGroups:
    """Return the groups of the node with this state folder, as this machine allows."""
    try:
        mounts, own = (Path(f"/proc/self/{name}").read_bytes() for name in ("mountinfo", "cgroup"))
    except OSError as error:
        return ControlGroups(Layout(missing=f"control groups are not known: {error.strerror}: {error.filename}"), state)
    return ControlGroups(cgroup_plan.layout(os.fsdecode(mounts), os.fsdecode(own)), state)


def _members(session: int) -> set[int]:
    """Return the living processes of a session, and what came of them in sessions of their own."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if os.getsid(int(entry.name)) == session:
                    found.add(int(entry.name))
    waiting = list(found)
    while waiting:
        new = set(_children(waiting.pop())) - found
        found |= new
        waiting += new
    return found


def _children(pid: int) -> Iterator[int]:
    # A kernel may be built without these files.
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (thread / "children").read_text().split())


def _folders(root: int) -> list[str]:
    with os.scandir(root) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _removed(root: int, name: str) -> bool:
    """Remove a group and those below it; return whether it is gone."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
    except FileNotFoundError:
        return True
    try:
        for child in _folders(descriptor):
            os.rmdir(child, dir_fd=descriptor)
        os.rmdir(name, dir_fd=root)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
