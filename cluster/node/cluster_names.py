"""The names of Services on this machine: a hosts file of the node's own, which its pods see in place of /etc/hosts.

There is no DNS here; a mount namespace with one bind mount does as much. `lines_of` and `arranged` are pure, `enter`
makes the namespace, `NamesFile` keeps the file current. Where the kernel refuses the namespace, pods see the machine's
own file, and names inside the cluster do not resolve; everything else works.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tidegate.kube.api import Object, name_of, namespace_of

log = logging.getLogger(__name__)

SYSTEM_FILE = Path("/etc/hosts")
DOMAIN = "svc.cluster.local"
PAUSE_S = 0.05
"""Services come in crowds; the file is written once in this time."""

_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000
_BIND, _RECURSIVE, _SLAVE = 0x1000, 0x4000, 0x80000


def lines_of(services: Iterable[Object]) -> list[str]:
    """Return a line of a hosts file for every Service with an address that is listened on here."""
    found = {(namespace_of(one), name_of(one)): one for one in services}
    lines = []
    for (namespace, name), service in sorted(found.items()):
        if address := _address(service, found):
            full = f"{name}.{namespace}.{DOMAIN}"
            lines.append(f"{address} {full} {name}.{namespace}.svc {name}.{namespace}")
    return lines


def arranged(before: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the wanted lines, each that was there before in its place: pods read the file while it is written.

    What is wanted no more becomes a comment of its length, and new lines stand at the end. Only when more than half
    would be comments is everything put together anew.
    """
    asked = set(wanted)
    kept = [line if line in asked else "#" * len(line) for line in before]
    there = set(kept)
    kept += [line for line in wanted if line not in there]
    return list(wanted) if len(kept) > 2 * len(wanted) else kept


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
        self._system = path.read_text().rstrip("\n")
        self._services = services
        self._lines: list[str] = []
        self._is_resting = False
        self._has_changed = False

    def changed(self) -> None:
        """Note that some Service has changed: the file says so at once, and soon when Services come in crowds.

        Whoever is told that a Service is ready may ask for its name in the next millisecond.
        """
        if self._is_resting:
            self._has_changed = True
        else:
            self.write()
            self._rest()

    def _rest(self) -> None:
        self._is_resting, self._has_changed = True, False
        asyncio.get_running_loop().call_later(PAUSE_S, self._rested)

    def _rested(self) -> None:
        self._is_resting = False
        if self._has_changed:
            self.changed()

    def write(self) -> None:
        """Write the file in place, for it is the inode that is mounted; the end is cut last."""
        self._lines = arranged(self._lines, lines_of(self._services()))
        content = "\n".join([self._system, "# Services of the local cluster", *self._lines, ""]).encode()
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
