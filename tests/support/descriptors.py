"""What this process has open: each descriptor with what it leads to, sockets with their addresses.

For tests that count descriptors: one that is left tells by itself where it came from. Reads /proc, so only on Linux.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_STATES = {"01": "established", "06": "time-wait", "08": "close-wait", "0A": "listening"}
_FAMILIES = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}


def links() -> list[str]:
    """Return what each open descriptor leads to, as "socket:[4711]" or a path; one call opens none that stays."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(entry.readlink()))
        except FileNotFoundError:  # the one that listed the folder, or closed by another thread meanwhile
            continue
    return found


def links_of(transports: Iterable[asyncio.BaseTransport]) -> list[str]:
    """Return what the descriptors of these transports lead to, of those that are open."""
    found = []
    for transport in transports:
        endpoint = None if transport.is_closing() else transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # closed by its other end
            if endpoint is not None:
                found.append(str(Path(f"/proc/self/fd/{endpoint.fileno()}").readlink()))
    return found


def told(found: list[str]) -> list[str]:
    """Return these links in words, sockets with both addresses and their state, sorted."""
    sockets = _sockets()
    return sorted(f"{link} {sockets[link]}" if link in sockets else link for link in found)


def difference(before: list[str], now: list[str]) -> str:
    """Say which links came and which went."""
    came, gone = Counter(now) - Counter(before), Counter(before) - Counter(now)
    return f"came: {told(list(came.elements()))}, gone: {told(list(gone.elements()))}"


def _sockets() -> dict[str, str]:
    found = {}
    for kind in _FAMILIES:
        for line in _lines(kind):
            words = line.split()
            ends = " -> ".join(_address(kind, word) for word in words[1:3])
            found[f"socket:[{words[9]}]"] = f"{ends} {_STATES.get(words[3], words[3])}"
    for line in _lines("unix"):
        words = line.split(maxsplit=7)
        found[f"socket:[{words[6]}]"] = f"unix {words[7] if len(words) > 7 else 'without a name'}"
    return found


def _lines(kind: str) -> list[str]:
    try:
        return Path(f"/proc/self/net/{kind}").read_text().splitlines()[1:]
    except FileNotFoundError:  # IPv6 is off
        return []


def _address(kind: str, word: str) -> str:
    # Each group of eight digits is a number in the machine's own byte order.
    digits, _, port = word.partition(":")
    groups = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    return f"{socket.inet_ntop(_FAMILIES[kind], b''.join(groups))}:{int(port, 16)}"
