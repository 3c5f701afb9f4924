"""The shapes of load, and one run of each against one port.

HTTP/1.1 by wrk, except where each connection is counted by itself; WebSocket messages by our own client; gRPC by
h2load.

A run returns what the client saw; whose CPU was used meanwhile is the caller's matter.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import grpc_backend

HTTP1 = ""
GRPC = "h2c"
LARGE_BYTES = 100_000
GRPC_METHOD = "/bench.Echo/Unary"
VARIED_CALLS = 20_000
"""More targets than any cache of heads keeps."""
UPLOAD = f'wrk.method = "POST"\nwrk.body = string.rep("x", {LARGE_BYTES})\n'
VARIED = 'local n = 0\nrequest = function() n = n + 1; return wrk.format("GET", "/" .. n) end\n'
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
CLIENT_LIMIT_S = 60


@dataclass(frozen=True)
class Shape:
    """One shape: `script` is Lua for wrk; `is_counted`: our own client counts what each connection gets.

    `protocol`: what client, proxy and backend speak. For gRPC, `streams`: calls at once on a connection; `is_varied`:
    `VARIED_CALLS` targets in turn.
    """

    name: str
    meaning: str
    connections: int
    path: str = "/"
    script: str = ""
    is_counted: bool = False
    is_websocket: bool = False
    protocol: str = HTTP1
    streams: int = 1
    is_varied: bool = False


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("small_1", "12-byte answers, 1 connection", 1),
        Shape("small_32", "12-byte answers, 32 connections", 32),
        Shape("small_512", "12-byte answers, 512 connections", 512),
        Shape("varied_32", "12-byte answers, 32 connections, every target another", 32, script=VARIED),
        Shape("download_32", "100 KB answers, 32 connections", 32, path=f"/bytes/{LARGE_BYTES}"),
        Shape("upload_32", "100 KB uploads, 32 connections", 32, script=UPLOAD),
        Shape("chunked_32", "20 chunks of 1 KB, 32 connections", 32, path="/chunked/20"),
        Shape("fair_512", "12-byte answers, what each of 512 connections gets", 512, is_counted=True),
        Shape("websocket_32", "WebSocket messages of 64 bytes and their echoes", 32, is_websocket=True),
        Shape("grpc_8x8", "gRPC unary, 8 connections with 8 calls each", 8, protocol=GRPC, streams=8),
        Shape("grpc_varied_8x8", "as grpc_8x8, every target another", 8, protocol=GRPC, streams=8, is_varied=True),
        Shape("grpc_32x1", "gRPC unary, 32 connections with 1 call each", 32, protocol=GRPC),
    )
}


def load(
    shape: Shape, port: int, seconds: int, headers: Mapping[str, str], cores: set[int], folder: Path
) -> dict[str, Any]:
    """Run one shape against a port; returns requests, rps, p50_ms, p99_ms, errors, and the least share of a
    connection where that is counted. Raises RuntimeError when the client fails."""
    if shape.is_counted:
        return _own_client("bench.fairness", shape, port, seconds, headers, cores)
    if shape.is_websocket:
        return _own_client("bench.websocket_client", shape, port, seconds, headers, cores)
    if shape.protocol == GRPC:
        return _grpc(shape, port, seconds, headers, cores, folder)
    command = ["wrk", "-t", "1", "-c", str(shape.connections), "-d", f"{seconds}s", "--latency"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    if shape.script:
        script = folder / f"{shape.name}.lua"
        script.write_text(shape.script)
        command += ["-s", str(script)]
    text = _run([*command, f"http://127.0.0.1:{port}{shape.path}"], cores)
    requests = _number(r"(\d+) requests in", text)
    if not requests:
        raise RuntimeError(f"wrk saw no answer in shape {shape.name}:\n{text}")
    bad = _number(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = sum(int(count) for count in re.findall(r"(?:connect|read|write) (\d+)", text))
    return {
        "requests": requests,
        "rps": requests / seconds,
        "p50_ms": _latency_ms("50", text),
        "p99_ms": _latency_ms("99", text),
        "errors": bad + broken,
    }


def _own_client(
    module: str, shape: Shape, port: int, seconds: int, headers: Mapping[str, str], cores: set[int]
) -> dict[str, Any]:
    command = [sys.executable, "-m", module, str(port), str(shape.connections), f"{seconds}"]
    answer: dict[str, Any] = json.loads(_run([*command, json.dumps(dict(headers))], cores))
    return answer


def _grpc(
    shape: Shape, port: int, seconds: int, headers: Mapping[str, str], cores: set[int], folder: Path
) -> dict[str, Any]:
    message, log = folder / "grpc-message", folder / "h2load.log"
    message.write_bytes(grpc_backend.MESSAGE)
    log.unlink(missing_ok=True)
    command = ["h2load", "-D", str(seconds), "-c", str(shape.connections), "-m", str(shape.streams)]
    command += ["-d", str(message), f"--log-file={log}", "-H", "content-type: application/grpc", "-H", "te: trailers"]
    for name, value in headers.items():
        command += ["-H", f":authority: {value}" if name == "Host" else f"{name.lower()}: {value}"]
    target = f"http://127.0.0.1:{port}{GRPC_METHOD}"
    if shape.is_varied:
        targets = folder / "targets"
        targets.write_text("".join(f"{target}?call={number}\n" for number in range(VARIED_CALLS)))
        text = _run([*command, "-i", str(targets)], cores)
    else:
        text = _run([*command, target], cores)
    seen = grpc_calls(log.read_text().splitlines())
    if not seen["requests"]:
        raise RuntimeError(f"h2load saw no answer in shape {shape.name}:\n{text}")
    # What is under way when the time is over was not answered, and is no error.
    return seen | {"rps": seen["requests"] / seconds}


def grpc_calls(lines: Sequence[str]) -> dict[str, Any]:
    """Return requests, errors, p50_ms and p99_ms out of h2load's log: start, HTTP status, microseconds, by tabs."""
    calls = [line.split("\t") for line in lines]
    latencies_us = sorted(int(call[2]) for call in calls if call[1] == "200")
    errors = sum(call[1] not in ("200", "-1") for call in calls)  # -1: cut off at the end of the time
    if not latencies_us:
        return {"requests": 0, "errors": errors, "p50_ms": 0.0, "p99_ms": 0.0}
    half, last = latencies_us[len(latencies_us) // 2], latencies_us[len(latencies_us) * 99 // 100]
    return {"requests": len(latencies_us), "errors": errors, "p50_ms": half / 1000, "p99_ms": last / 1000}


def missing_client(shape: Shape) -> str | None:
    """Return the program that this shape's load needs and the machine lacks."""
    if shape.is_counted or shape.is_websocket:
        return None
    program = "h2load" if shape.protocol == GRPC else "wrk"
    return None if shutil.which(program) else program


def _run(command: list[str], cores: set[int]) -> str:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    os.sched_setaffinity(process.pid, cores)
    try:
        text, _ = process.communicate(timeout=CLIENT_LIMIT_S)
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}:\n{text}")
    return text


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def _latency_ms(percent: str, text: str) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    return float(found[1]) * _UNITS_MS[found[2]] if found else 0.0
