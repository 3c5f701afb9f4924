"""Which user a container runs as, by its security context or its image, and whether this node can become that user.

A container that names no user runs as the node does. The group is `runAsGroup`, else the one with the user's number:
the root group, which a container runtime gives, is more than a process on this machine should have. Tidegate's own
components are parts of the installation and always run as the node.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.node import images
from cluster.node.environment import ConfigError
from tidegate.kube.api import Object

ENTER = 0o001
UID_MAP = Path("/proc/self/uid_map")


@dataclass(frozen=True, slots=True)
class User:
    """Numbers of a user, its group and its further groups."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    def flags(self) -> dict[str, Any]:
        """Return what `subprocess.Popen` calls these numbers."""
        return {"user": self.uid, "group": self.gid, "extra_groups": self.groups}


def user_of(pod: Object, container: Object, image_uid: int | None = None) -> User | None:
    """Return the container's user: its own security context, the pod's, the image's; None when nobody names one.

    Groups alone make the node's own user with these groups; raises `ConfigError` for a main group without a user.
    """
    shared, merged = pod["spec"].get("securityContext") or {}, context_of(pod, container)
    uid, gid = merged.get("runAsUser", image_uid), merged.get("runAsGroup")
    groups = [*(shared.get("supplementalGroups") or []), *([shared["fsGroup"]] if "fsGroup" in shared else [])]
    if uid is None:
        if gid is not None:
            raise ConfigError(f"runAsGroup {gid} is specified without a runAsUser")
        return User(os.geteuid(), os.getegid(), tuple(map(int, groups))) if groups else None
    return User(int(uid), int(uid if gid is None else gid), tuple(map(int, groups)))


def context_of(pod: Object, container: Object) -> Object:
    """Return the pod's security context with the container's own fields over it."""
    shared, own = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    return {**shared, **{key: value for key, value in own.items() if value is not None}}


def is_component(container: Object) -> bool:
    """Whether the container is one of Tidegate's own components; with a command of its own it is something else."""
    name = images.untagged(container.get("image") or "")
    return (
        not container.get("command")
        and name.startswith(images.OWN)
        and name.removeprefix(images.OWN) in images.COMPONENTS
    )


def check_not_root(pod: Object, container: Object, user: User | None) -> None:
    """Raise `ConfigError` when the container must not run as root and would; `user` is whom it would run as.

    The beginnings of the messages are the kubelet's (pkg/kubelet/kuberuntime/security_context.go).
    """
    context = context_of(pod, container)
    if context.get("runAsNonRoot") is not True or (user.uid if user else os.geteuid()) != 0:
        return
    if context.get("runAsUser") == 0:
        raise ConfigError("container's runAsUser breaks non-root policy")
    where = " on a node with --run-as-user true" if user is None else ""
    raise ConfigError(f"container has runAsNonRoot and image will run as root: set runAsUser{where}")


def pod_user(pod: Object) -> User | None:
    """Return the user to whom the pod's token belongs: that of the first container that names one."""
    found = (user_of(pod, container) for container in pod["spec"]["containers"] if not is_component(container))
    return next((user for user in found if user is not None), None)


def check(user: User, folder: Path) -> None:
    """Raise `ConfigError` when this node cannot become `user`, or `user` cannot enter `folder`."""
    is_same = user.uid == os.geteuid()
    if not (is_same and not user.groups) and (os.geteuid() != 0 or UID_MAP.read_text().split()[-1] == "1"):
        what = f"groups {list(user.groups)}" if is_same else f"runAsUser {user.uid}"
        raise ConfigError(f"{what}: this node runs as user {os.geteuid()} and cannot become another one")
    if is_same:
        return
    for parent in reversed([folder.resolve(), *folder.resolve().parents]):
        if parent.exists() and not parent.stat().st_mode & ENTER:
            raise ConfigError(f"runAsUser {user.uid}: that user cannot enter {parent} (chmod o+x lets it)")
