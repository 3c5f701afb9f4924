"""The names of Services on this machine: a hosts file of the node's own, which its pods see in place of /etc/hosts.

There is no DNS here; a mount namespace with one bind mount does as much. `text` is pure, `enter` makes the namespace,
`NamesFile` keeps the file current. Where the kernel refuses the namespace, pods see the machine's own file, and names
inside the cluster do not resolve; everything else works.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from tidegate.kube.api import Object, name_of, namespace_of

log = logging.getLogger(__name__)

SYSTEM_FILE = Path("/etc/hosts")
DOMAIN = "svc.cluster.local"
PAUSE_S = 0.05
"""Services come in crowds; the file is written once for each."""

_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000
_BIND, _RECURSIVE, _SLAVE = 0x1000, 0x4000, 0x80000


def text(services: Iterable[Object], system: str) -> str:
    """Return the machine's own lines, then a line for every Service with an address that is listened on here."""
    found = {(namespace_of(one), name_of(one)): one for one in services}
    lines = []
    for (namespace, name), service in sorted(found.items()):
        if address := _address(service, found):
            full = f"{name}.{namespace}.{DOMAIN}"
            lines.append(f"{address} {full} {name}.{namespace}.svc {name}.{namespace}")
    return "\n".join([system.rstrip("\n"), "# Services of the local cluster", *lines, ""])


def enter(path: Path) -> str:
    """Give this process and all it starts a view in which `path` stands for /etc/hosts; returns why not, if not.

    To be called before any thread starts: an unprivileged process gets a user namespace as well, in which nothing but
    its own user is known.
    """
    try:
        path.write_text(SYSTEM_FILE.read_text())
    except OSError as error:
        return str(error)
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEW_MOUNTS) != 0:
        if libc.unshare(_NEW_MOUNTS | _NEW_USERS) != 0:
            return f"no mount namespace: {os.strerror(ctypes.get_errno())}"
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    source, target = str(path).encode(), str(SYSTEM_FILE).encode()
    if libc.mount(None, b"/", None, _RECURSIVE | _SLAVE, None) != 0 or libc.mount(source, target, None, _BIND, None):
        return f"no bind mount: {os.strerror(ctypes.get_errno())}"
    return ""


class NamesFile:
    """Writes the file when Services change. `system` are the machine's own lines."""

    def __init__(self, path: Path, services: Callable[[], Iterable[Object]]) -> None:
        self._path = path
        self._system = path.read_text()
        self._services = services
        self._timer: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Note that some Service has changed."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE_S, self.write)

    def write(self) -> None:
        """Write the file in place, for it is the inode that is mounted; the end is cut last."""
        self._timer = None
        content = text(self._services(), self._system).encode()
        descriptor = os.open(self._path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, content, 0)
            os.ftruncate(descriptor, len(content))
        finally:
            os.close(descriptor)


def _address(service: Object, found: dict[tuple[str, str], Object]) -> str:
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        name, _, rest = str(spec.get("externalName") or "").partition(".")
        namespace, _, domain = rest.partition(".")
        other = found.get((namespace, name)) if domain == DOMAIN else None
        return _own_address(other) if other is not None else ""
    return _own_address(service)


def _own_address(service: Object) -> str:
    spec = service.get("spec") or {}
    address = str(spec.get("clusterIP") or "")
    return address if spec.get("selector") and address.startswith("127.") else ""
