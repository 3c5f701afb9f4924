"""What a container may not do any more: gain privileges by programs it starts, and use the capabilities it drops.

Pure. `allowPrivilegeEscalation: false` is the kernel's no_new_privs; `capabilities.drop` takes from what the node has
(a node that is not root has none to take), and nothing is ever added to it. How a process gives them up is for
`process` (by setpriv) and `forked_child` (by itself).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.node.environment import ConfigError
from tidegate.kube.api import Object

# capabilities(7), in the order of their numbers.
NAMES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
SETPCAP = NAMES.index("SETPCAP")
ALL = frozenset(range(64))
"""Those to come included: the kernel keeps them in 64 bits."""


@dataclass(frozen=True, slots=True)
class Privileges:
    """What is given up: new privileges at all, and capabilities by number."""

    no_new: bool = False
    dropped: frozenset[int] = frozenset()

    def flags(self, last: int, *, may_drop: bool) -> list[str]:
        """Return what setpriv calls this; `last` is the kernel's last capability.

        Without the right to drop from the bounding set (`may_drop`) there are no capabilities to lose either.
        """
        found = ["--no-new-privs"] if self.no_new else []
        gone = [number for number in sorted(self.dropped) if number <= last]
        if gone and may_drop:
            words = ",".join(f"-cap_{number}" for number in gone) if len(gone) <= last else "-all"
            found += ["--bounding-set", words, "--inh-caps", words]
        return found


def of(container: Object) -> Privileges:
    """Return what the container's security context gives up; raises `ConfigError` for an unknown capability."""
    context = container.get("securityContext") or {}
    capabilities = context.get("capabilities") or {}
    dropped, added = _numbers(capabilities.get("drop") or []), _numbers(capabilities.get("add") or [])
    is_privileged = context.get("privileged") is True
    no_new = context.get("allowPrivilegeEscalation") is False and not is_privileged
    return Privileges(no_new, frozenset() if is_privileged else dropped - added)


def _numbers(names: Iterable[str]) -> frozenset[int]:
    found: set[int] = set()
    for name in names:
        plain = str(name).upper().removeprefix("CAP_")
        if plain == "ALL":
            return ALL
        if plain not in NAMES:
            raise ConfigError(f"unknown capability {name!r}")
        found.add(NAMES.index(plain))
    return frozenset(found)
