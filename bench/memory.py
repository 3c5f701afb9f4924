"""Memory of one worker (a queueproxy process): idle keep-alive connections, large bodies both ways, a slow reader.

Growth is resident memory at its highest against that before, sampled while it happens. Every idle connection has made
one request, so what the engine keeps per connection is there. Where curl has HTTP/2, the bodies pass by that as well.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import peers, processes
from loadtest.figures import Bar, Figures

MEGABYTE = 1e6
IDLE_LIMIT_MB = 250
BODY_LIMIT_MB = 20
PER_ADDRESS = 10_000  # connections from one loopback address: it has 28,000 ports
BATCH = 100
SPARE_FILES = 400  # listeners, connections to the backend, libraries
PIECE_BYTES = 1 << 18
SLOW_S = 3.0
SAMPLE_S = 0.02
PATIENCE_S = 60.0
SLOWLY = ("--limit-rate", "100k", "--max-time", f"{SLOW_S:.0f}")
CURL_TIMED_OUT = 28
REQUEST = b"GET / HTTP/1.1\r\nHost: hello.default.localhost\r\n\r\n"


def measure(connections: int, body_bytes: int) -> Figures:
    """Measure and return the figures. Where fewer open files are allowed than that needs, fewer connections are opened
    and their cost is scaled; the notes say how many there were."""
    # A hop keeps a tenth of its open files for its upstreams (`Limits.connections`).
    files = processes.raise_file_limit(connections * 10 // 9 + SPARE_FILES)
    opened = min(connections, files * 9 // 10 - SPARE_FILES)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        backend = processes.free_port()
        stack.enter_context(processes.running([sys.executable, "-m", "bench.backend", str(backend)], backend))
        near, cores = processes.cores()
        peer = peers.PEERS["queueproxy"](peers.Place(stack, folder, backend, near, cores))
        assert peer is not None
        _ask(_connected(peer.port))  # whatever the first request imports
        bodies = {
            "download": lambda: _download(peer.port, body_bytes),
            "upload": lambda: _upload(peer.port, body_bytes),
            "slow_reader": lambda: _read_slowly(peer.port, body_bytes),
        }
        if _curl_has_http2():
            bodies |= {
                "h2_download": lambda: _curl(peer.port, f"/stream/{body_bytes}"),
                "h2_upload": lambda: _curl(peer.port, "/", "-X", "POST", "-T", str(_sparse(folder, body_bytes))),
                "h2_slow_reader": lambda: _curl(peer.port, f"/stream/{body_bytes}", *SLOWLY, may_end=CURL_TIMED_OUT),
            }
        found = {name: _growth_mb(peer.pid, act) for name, act in bodies.items()}
        found["idle"] = _idle_mb(peer, opened) * connections / opened
    bars = [Bar(f"{name}_growth_mb", found[name], "MB", BODY_LIMIT_MB) for name in bodies]
    bars.append(Bar(f"idle_{connections}_connections_mb", found["idle"], "MB", IDLE_LIMIT_MB))
    return Figures(
        rounds=[found],
        bars=bars,
        notes={"connections_opened": opened, "idle_kb_each": round(found["idle"] * 1000 / connections, 2)},
    )


def _connected(port: int, address: str = "127.0.0.1") -> socket.socket:
    connection = socket.socket()
    connection.settimeout(PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: ports are shared between targets
    connection.bind((address, 0))
    connection.connect(("127.0.0.1", port))
    return connection


def _ask(connection: socket.socket) -> None:
    connection.sendall(REQUEST)
    if not connection.recv(4096).startswith(b"HTTP/1.1 200 "):
        raise RuntimeError("a request was not answered with 200")


def _idle_mb(peer: peers.Peer, connections: int) -> float:
    """Open the connections, one request on each, and return what they cost together."""
    before = processes.rss_bytes(peer.pid)
    opened: list[socket.socket] = []
    try:
        for start in range(0, connections, BATCH):
            address = f"127.0.0.{2 + start // PER_ADDRESS}"
            batch = [_connected(peer.port, address) for _ in range(min(BATCH, connections - start))]
            for connection in batch:
                _ask(connection)
            opened += batch
        time.sleep(0.5)
        grown = processes.rss_bytes(peer.pid) - before
        _ask(opened[0])  # they are still served
        return grown / MEGABYTE
    finally:
        for connection in opened:
            connection.close()


def _growth_mb(pid: int, act: Callable[[], None]) -> float:
    """Run `act` and return how far resident memory rose meanwhile."""
    with _sampled(pid) as samples:
        act()
    return (max(samples) - samples[0]) / MEGABYTE


@contextlib.contextmanager
def _sampled(pid: int) -> Iterator[list[int]]:
    samples = [processes.rss_bytes(pid)]
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_S):
            samples.append(processes.rss_bytes(pid))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def _download(port: int, size: int) -> None:
    with _streaming(port, size) as connection:
        _take(connection, size)


@contextlib.contextmanager
def _streaming(port: int, size: int) -> Iterator[socket.socket]:
    with _connected(port) as connection:
        connection.sendall(REQUEST.replace(b"GET /", b"GET /stream/%d" % size))
        yield connection


def _take(connection: socket.socket, size: int) -> None:
    """Read to `size` bytes of body; heads are small against it and not looked at."""
    piece, taken = bytearray(PIECE_BYTES), 0
    while taken < size:
        count = connection.recv_into(piece)
        if not count:
            raise RuntimeError(f"the body ended after {taken} bytes of {size}")
        taken += count


def _upload(port: int, size: int) -> None:
    piece, left = b"x" * PIECE_BYTES, size
    with _connected(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: hello\r\nContent-Length: %d\r\n\r\n" % size)
        while left:
            sent = connection.send(piece[:left] if left < PIECE_BYTES else piece)
            left -= sent
        if not connection.recv(4096).startswith(b"HTTP/1.1 200 "):
            raise RuntimeError("the upload was not answered with 200")


def _curl_has_http2() -> bool:
    program = shutil.which("curl")
    return program is not None and b"HTTP2" in subprocess.run([program, "-V"], capture_output=True, check=True).stdout


def _curl(port: int, path: str, *options: str, may_end: int = 0) -> None:
    """Ask by HTTP/2; raises RuntimeError when curl fails."""
    command = ["curl", "-sSf", "--http2-prior-knowledge", "-o", "/dev/null", *options]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=False)
    if done.returncode not in (0, may_end):
        raise RuntimeError(f"curl ended with {done.returncode}: {done.stderr}")


def _sparse(folder: Path, size: int) -> Path:
    path = folder / "body"
    path.touch()
    os.truncate(path, size)
    return path


def _read_slowly(port: int, size: int) -> None:
    """Read a little now and then for a while, then leave."""
    until = time.monotonic() + SLOW_S
    with _streaming(port, size) as connection:
        while time.monotonic() < until:
            connection.recv(10_000)
            time.sleep(0.1)
