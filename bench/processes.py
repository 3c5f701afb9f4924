"""The processes of a measurement: start, wait until they listen, pin, read CPU and memory, stop.

Client and backend get one core and the proxy the other where there are two, so that neither disturbs the other's
caches. Nothing here knows what the processes are.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
START_LIMIT_S = 20.0
STOP_LIMIT_S = 10.0


def cores() -> tuple[set[int], set[int]]:
    """Return the cores of client and backend, and those of the proxy; the same ones on a machine with one."""
    usable = sorted(os.sched_getaffinity(0))
    return ({usable[0]}, {usable[1]}) if len(usable) > 1 else ({usable[0]}, {usable[0]})


def free_port() -> int:
    """Return a port that nobody listens on, below the range that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def running(
    command: Sequence[str],
    port: int,
    *,
    environ: Mapping[str, str] | None = None,
    pinned: set[int] | None = None,
    log: Path | None = None,
) -> Iterator[int]:
    """Run a process until the block ends; yields its pid once it accepts connections on `port`."""
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        process = subprocess.Popen(
            list(command), stdout=output, stderr=output, env={**os.environ, **(environ or {})}, start_new_session=True
        )
        try:
            if pinned:
                os.sched_setaffinity(process.pid, pinned)
            _wait_until_listening(process, port, command)
            yield process.pid
        finally:
            _stop(process)


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, command: Sequence[str]) -> None:
    until = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode} before it listened")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{' '.join(command)} did not listen on port {port} within {START_LIMIT_S:.0f} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def family(pid: int) -> list[int]:
    """Return the process and its children (nginx's worker is one)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def cpu_s(pid: int) -> float:
    """Return user plus system seconds of a process and of its children that still run."""
    total = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_PER_S


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process, without what it shares with files."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * PAGE_BYTES


def raise_file_limit(wanted: int) -> int:
    """Allow this process and those it starts `wanted` open files, as far as permitted; returns the limit."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(soft, allowed)
