"""Which user a container runs as, by its security context or its image, and whether this node can become that user.

A container that names no user runs as the node does. The group is `runAsGroup`, else the one with the user's number:
the root group, which a container runtime gives, is more than a process on this machine should have.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """Return the container's user: its own security context, the pod's, the image's; None when nobody names one."""
    shared = pod["spec"].get("securityContext") or {}
    merged = shared | {
        key: value for key, value in (container.get("securityContext") or {}).items() if value is not None
    }
    uid = merged.get("runAsUser", image_uid)
    if uid is None:
        return None
    groups = [*(shared.get("supplementalGroups") or []), *([shared["fsGroup"]] if "fsGroup" in shared else [])]
    return User(int(uid), int(merged.get("runAsGroup", uid)), tuple(map(int, groups)))


def pod_user(pod: Object) -> User | None:
    """Return the user to whom the pod's token belongs: that of the first container that names one."""
    found = (user_of(pod, container) for container in pod["spec"]["containers"])
    return next((user for user in found if user is not None), None)


def check(user: User, folder: Path) -> None:
    """Raise `ConfigError` when this node cannot become `user`, or `user` cannot enter `folder`."""
    if user.uid == os.geteuid():
        return
    if os.geteuid() != 0 or UID_MAP.read_text().split()[-1] == "1":
        raise ConfigError(f"runAsUser {user.uid}: this node runs as user {os.geteuid()} and cannot become another one")
    for parent in reversed([folder.resolve(), *folder.resolve().parents]):
        if parent.exists() and not parent.stat().st_mode & ENTER:
            raise ConfigError(f"runAsUser {user.uid}: that user cannot enter {parent} (chmod o+x lets it)")
