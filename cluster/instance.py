"""What makes one instance apart from all others on this machine: its loopback network, its ports, its lock.

Each instance owns 127.N.0.0/16. N is held by an abstract Unix socket for as long as the supervisor lives: the kernel
gives it back whatever happens, and no file is left behind. Part of the supervisor, so it imports almost nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import zlib
from pathlib import Path

from cluster import store_format

OCTETS = 254
API_HOST = "127.0.0.1"


class StartError(Exception):
    """The instance cannot start; the message says why and what to do."""


def lock(state: Path) -> int:
    """Hold the state folder for this process; returns the descriptor to keep. Raises `StartError` when it is held."""
    descriptor = os.open(state / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StartError(f"an instance already runs in {state}: stop it with `tidegate down`, or use --state") from None
    return descriptor


def check_store(state: Path) -> None:
    """Raise `StartError` for a store that the API server could only refuse again and again."""
    try:
        store_format.check_file(state / "store.db")
    except store_format.OtherFormat as error:
        raise StartError(str(error)) from None


def remembered(state: Path) -> dict[str, int]:
    """Return what instance.json keeps from the last start, empty when there is none or half of one."""
    try:
        document = json.loads((state / "instance.json").read_text())
    except (OSError, ValueError):
        return {}
    known = document if isinstance(document, dict) else {}
    return {name: known[name] for name in ("octet", "api_port") if isinstance(known.get(name), int)}


def remember(state: Path, octet: int, api_port: int) -> None:
    """Keep octet and port for the next start."""
    write(state / "instance.json", {"octet": octet, "api_port": api_port})


def write(path: Path, document: dict[str, object]) -> None:
    """Write a JSON file whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(document, indent=2) + "\n")
    temporary.replace(path)


def hold_octet(state: Path, preferred: int) -> tuple[int, socket.socket]:
    """Take the instance's octet, `preferred` when it is free; returns it with the socket that holds it."""
    first = preferred or zlib.crc32(str(state).encode()) % OCTETS + 1
    for step in range(OCTETS):
        octet = (first - 1 + step) % OCTETS + 1
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(f"\0tidegate-net-{octet}")
        except OSError:
            holder.close()
            continue
        return octet, holder
    raise StartError(f"{OCTETS} instances run on this machine already: there is no loopback network left")


def choose_port(asked: int, preferred: int) -> int:
    """Return the API server's port: the one asked for, else the last one, else a free one. Raises `StartError`."""
    if asked:
        if not _is_free(asked):
            raise StartError(f"--api-port: {API_HOST}:{asked} is taken; choose another, or leave it out")
        return asked
    if preferred and _is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((API_HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((API_HOST, port))
        except OSError:
            return False
    return True
