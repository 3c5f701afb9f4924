"""Addresses and ports of this machine, lent to pods and given back.

Every pod has a loopback address of its own; a remapped container has a port of its own on 127.0.0.1, taken below the
kernel's ephemeral range so that no outgoing connection can sit on it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket

FIRST_PORT = 10_000
LAST_PORT = 32_000


class OutOfAddresses(Exception):
    """No address or port is left."""


class Addresses:
    """Loopback addresses of `cidr`, by pod uid; the first two stay free."""

    def __init__(self, cidr: str) -> None:
        self._network = ipaddress.ip_network(cidr)
        self._by_uid: dict[str, str] = {}
        self._taken: set[str] = set()
        self._next = 2

    def take(self, uid: str, wanted: str = "") -> str:
        """Return the pod's address: the one it has, else `wanted` if free, else the next free one."""
        if uid in self._by_uid:
            return self._by_uid[uid]
        address = wanted if self._is_free(wanted) else self._find()
        self._by_uid[uid] = address
        self._taken.add(address)
        return address

    def release(self, uid: str) -> None:
        """Give the pod's address back."""
        self._taken.discard(self._by_uid.pop(uid, ""))

    def _is_free(self, address: str) -> bool:
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(address) in self._network and address not in self._taken
        return False

    def _find(self) -> str:
        size = self._network.num_addresses
        # The next one rather than the lowest: an address is reused as late as possible.
        for step in range(size):
            index = (self._next + step) % size
            address = str(self._network[index])
            if 2 <= index < size - 1 and address not in self._taken:
                self._next = index + 1
                return address
        raise OutOfAddresses(f"no address of {self._network} is free")


class Ports:
    """Ports on 127.0.0.1, by pod uid. `seed` sets where the search begins, so that nodes side by side do not meet."""

    def __init__(self, seed: int = 0) -> None:
        self._by_uid: dict[str, set[int]] = {}
        self._taken: set[int] = set()
        self._next = FIRST_PORT + seed % (LAST_PORT - FIRST_PORT)

    def take(self, uid: str) -> int:
        """Return a port on which nobody listens."""
        for _ in range(LAST_PORT - FIRST_PORT):
            port = self._next
            self._next = port + 1 if port + 1 < LAST_PORT else FIRST_PORT
            if port not in self._taken and _is_free(port):
                self._taken.add(port)
                self._by_uid.setdefault(uid, set()).add(port)
                return port
        raise OutOfAddresses("no port on 127.0.0.1 is free")

    def release(self, uid: str) -> None:
        """Give the pod's ports back."""
        self._taken -= self._by_uid.pop(uid, set())


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
