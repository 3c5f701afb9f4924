"""CPU per request of the engine with a trivial director, beside nginx proxy_pass where it is installed.

`python -m bench.engine --json`. Backend, proxy and client (wrk) are processes of their own; the figure is the proxy
process's user and system time over the requests it served, both sides alternating in one run. The value is the ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
BODY = b"hello world\n"


class _Backend(asyncio.Protocol):
    """Answers each read that ends a head with the same 12 bytes."""

    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.answer * data.count(b"\r\n\r\n"))


async def _serve_backend(port: int, size: int) -> None:
    body = BODY if size == 0 else b"x" * size
    _Backend.answer = _Backend.answer % (len(body), body)
    await asyncio.get_running_loop().create_server(_Backend, "127.0.0.1", port)
    await asyncio.Event().wait()


class _Director:
    strip_request = frozenset({b"k-proxy-request"})
    strip_request_prefixes: tuple[bytes, ...] = (b"x-tidegate-",)

    def __init__(self, port: int) -> None:
        from tidegate.wire.director import Relay

        self._relay = Relay
        self._port = port

    def direct(self, request: Any) -> Any:
        return self._relay("127.0.0.1", self._port)

    def retry(self, request: Any, failed: Any, failure: Any) -> Any:
        return self._relay("127.0.0.1", self._port)

    def finished(self, request: Any, outcome: Any) -> None:
        pass


async def _serve_engine(port: int, upstream_port: int) -> None:
    from tidegate.wire.pool import Pool
    from tidegate.wire.server import Server

    await Server(_Director(upstream_port), Pool()).start("127.0.0.1", port)
    await asyncio.Event().wait()


VARY = 'local n = 0; request = function() n = n + 1; return wrk.format("GET", "/" .. n) end'

NGINX_CONF = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream app {{ server 127.0.0.1:{upstream_port}; keepalive 256; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; keepalive_requests 1000000000; location / {{ proxy_pass http://app;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr; }} }} }}
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _process(command: list[str], port: int) -> Iterator[int]:
    """Run a process until the block ends; yields its pid once it listens."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.01)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _cpu_s(pid: int) -> float:
    """User plus system seconds of a process and of its children that still run (nginx's worker)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for one in (str(pid), *children):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_PER_S


def _load(port: int, connections: int, seconds: int, script: str | None) -> tuple[int, str]:
    """Run wrk; return requests served and its p50 as text."""
    threads = min(2, connections)
    command = ["wrk", "-t", str(threads), "-c", str(connections), "-d", f"{seconds}s", "--latency"]
    command += ["-s", script] if script else []
    text = subprocess.run([*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
    requests, p50 = re.search(r"(\d+) requests in", text), re.search(r"^\s+50%\s+(\S+)", text, re.MULTILINE)
    assert requests and p50 and "Non-2xx" not in text, text
    return int(requests[1]), p50[1]


def _measure(pid: int, port: int, connections: int, seconds: int, script: str | None) -> dict[str, Any]:
    before = _cpu_s(pid)
    requests, p50 = _load(port, connections, seconds, script)
    return {"cpu_us": (_cpu_s(pid) - before) / requests * 1e6, "rps": requests / seconds, "p50": p50}


def run(rounds: int, seconds: int, connections: int, size: int, vary: bool) -> dict[str, Any]:
    """Measure both sides alternately and return the report."""
    backend_port, engine_port, nginx_port = _free_port(), _free_port(), _free_port()
    me = [sys.executable, "-m", "bench.engine"]
    with contextlib.ExitStack() as stack:
        script = None
        if vary:
            script = str(Path(stack.enter_context(tempfile.TemporaryDirectory()), "vary.lua"))
            Path(script).write_text(VARY)
        stack.enter_context(_process([*me, "--backend", str(backend_port), "--size", str(size)], backend_port))
        engine = [*me, "--engine", str(engine_port), "--upstream", str(backend_port)]
        sides: dict[str, Callable[[], dict[str, Any]]] = {}
        engine_pid = stack.enter_context(_process(engine, engine_port))
        sides["engine"] = lambda: _measure(engine_pid, engine_port, connections, seconds, script)
        if shutil.which("nginx"):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            conf = Path(folder, "nginx.conf")
            conf.write_text(NGINX_CONF.format(folder=folder, port=nginx_port, upstream_port=backend_port))
            nginx_pid = stack.enter_context(_process(["nginx", "-p", folder, "-c", str(conf)], nginx_port))
            sides["nginx"] = lambda: _measure(nginx_pid, nginx_port, connections, seconds, script)
        for side in sides.values():
            side()  # warm up
        results = [{name: side() for name, side in sides.items()} for _ in range(rounds)]
    return _report(results)


def _report(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    own = statistics.median(one["engine"]["cpu_us"] for one in rounds)
    bars = [{"name": "engine_cpu_us_per_request", "value": own, "unit": "us", "limit": None, "holds": True}]
    if "nginx" in rounds[0]:
        ratios = sorted(one["engine"]["cpu_us"] / one["nginx"]["cpu_us"] for one in rounds)
        value = statistics.median(ratios)
        spread = [ratios[0], ratios[-1]]
        bar = {
            "name": "engine_cpu_ratio_to_nginx",
            "value": value,
            "unit": "ratio",
            "limit": 1.0,
            "holds": value <= 1.0,
        }
        bars.append(bar | {"spread": spread})
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return {"commit": commit.stdout.strip(), "machine": machine, "rounds": rounds, "bars": bars}


def main() -> None:
    """Run the benchmark, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--size", type=int, default=0, help="bytes of an answer; 0 means twelve")
    parser.add_argument(
        "--vary", action="store_true", help="another target with every request, so that no head repeats"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--backend", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--engine", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    from tidegate.wire import loop

    if options.backend:
        loop.run(_serve_backend(options.backend, options.size))
    elif options.engine:
        loop.run(_serve_engine(options.engine, options.upstream))
    else:
        report = run(options.rounds, options.seconds, options.connections, options.size, options.vary)
        if options.json:
            print(json.dumps(report))
        else:
            for one in report["rounds"]:
                print(one)
            for bar in report["bars"]:
                print(bar)


if __name__ == "__main__":
    main()
