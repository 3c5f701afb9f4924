"""What a model server costs beside the model: V2 JSON inference of four floats by an echo model, per core.

All servers run at once, pinned to one core, and take turns under the same load; the value is answered requests over the
server's own CPU seconds. Only ratios of one run mean anything.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import modelserver_peers, processes, shapes
from loadtest.figures import Bar, Figures

PATH = "/v2/models/echo/infer"
REQUEST: dict[str, Any] = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.1, 0.2, 0.3, 0.4]}]}
SCRIPT = f"""wrk.method = "POST"
wrk.body = '{json.dumps(REQUEST)}'
wrk.headers["Content-Type"] = "application/json"
"""
CONNECTIONS = 32
BAR = 1.5
Round = dict[str, Any]


def measure(rounds: int, seconds: int, say: Callable[[str], None]) -> Figures:
    """Measure and return the figures. Raises RuntimeError when a server does not start or answers wrongly."""
    near, cores = processes.cores()
    results: list[Round] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place = modelserver_peers.Place(stack, folder, cores)
        started = {name: start(place, say) for name, start in modelserver_peers.SERVERS.items()}
        for name, (port, _) in started.items():
            check(name, port)
        shape = shapes.Shape("infer", "four floats", CONNECTIONS, path=PATH, script=SCRIPT)
        for number in range(-1, rounds):  # the first round warms up and is not counted
            order = list(started.items()) if number % 2 == 0 else list(started.items())[::-1]
            for name, (port, pid) in order:
                say(f"round {number + 1} of {rounds}: {name}")
                before = processes.cpu_s(pid)
                seen = shapes.load(shape, port, seconds if number >= 0 else 1, {}, near, folder)
                cpu_s = processes.cpu_s(pid) - before
                if number >= 0:
                    results.append({"round": number, "server": name, **seen, "rps_per_core": seen["requests"] / cpu_s})
    return Figures(rounds=results, bars=bars(results), notes=summary(results))


def check(name: str, port: int) -> None:
    """Ask once and compare the answer; raises RuntimeError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", PATH, json.dumps(REQUEST), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    # FP32 values come back as the nearest float's decimal form where a server really makes floats of them.
    values = [round(value, 6) for value in document.get("outputs", [{}])[0].get("data", [])]
    if answer.status != 200 or values != REQUEST["inputs"][0]["data"]:
        raise RuntimeError(f"{name} answered {answer.status} {document}")


def summary(results: Sequence[Round]) -> dict[str, Any]:
    """Return medians per server, and the ratios of ours to each with their spread, taken round by round."""
    found: dict[str, Any] = {}
    ours = {one["round"]: one["rps_per_core"] for one in results if one["server"] == "ours"}
    for name in dict.fromkeys(one["server"] for one in results):
        of_server = [one for one in results if one["server"] == name]
        line: dict[str, Any] = {
            key: round(statistics.median(one[key] for one in of_server), 2)
            for key in ("rps_per_core", "rps", "p50_ms", "p99_ms")
        }
        line["errors"] = sum(one["errors"] for one in of_server)
        ratios = sorted(ours[one["round"]] / one["rps_per_core"] for one in of_server)
        line |= {
            "ours_over_it": round(statistics.median(ratios), 2),
            "spread": [round(ratios[0], 2), round(ratios[-1], 2)],
        }
        found[name] = line
    return found


def bars(results: Sequence[Round]) -> list[Bar]:
    """Return the two promises."""
    found = summary(results)
    return [
        Bar(f"rps_per_core_over_{name}", found[name]["ours_over_it"], "x", BAR, at_least=True)
        for name in ("mlserver", "kserve")
        if name in found
    ]
