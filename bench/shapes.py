"""The shapes of load, and one run of each against one port: wrk, except where each connection is counted by itself.

A run returns what the client saw; whose CPU was used meanwhile is the caller's matter.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGE_BYTES = 100_000
UPLOAD = f'wrk.method = "POST"\nwrk.body = string.rep("x", {LARGE_BYTES})\n'
VARIED = 'local n = 0\nrequest = function() n = n + 1; return wrk.format("GET", "/" .. n) end\n'
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
CLIENT_LIMIT_S = 60


@dataclass(frozen=True)
class Shape:
    """One shape: `script` is Lua for wrk; `is_counted`: our own client counts what each connection gets."""

    name: str
    meaning: str
    connections: int
    path: str = "/"
    script: str = ""
    is_counted: bool = False


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
    )
}


def load(
    shape: Shape, port: int, seconds: int, headers: Mapping[str, str], cores: set[int], folder: Path
) -> dict[str, Any]:
    """Run one shape against a port; returns requests, rps, p50_ms, p99_ms, errors, and the least share of a
    connection where that is counted. Raises RuntimeError when the client fails."""
    if shape.is_counted:
        return _counted(shape, port, seconds, headers, cores)
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


def _counted(shape: Shape, port: int, seconds: int, headers: Mapping[str, str], cores: set[int]) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.fairness", str(port), str(shape.connections), f"{seconds}"]
    answer: dict[str, Any] = json.loads(_run([*command, json.dumps(dict(headers))], cores))
    return answer


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
