"""What metrics, request log and spans cost: CPU per request of queueproxy with each, beside the same process without.

All variants run at once and take turns over the same backend and client; the value is the ratio of the medians to
`off`, which is the product's default (metrics are always on there; `no_metrics` shows what they cost).
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import peers, processes, shapes
from loadtest.figures import Bar, Figures

SHAPE = "small_32"
OFF = "off"
NO_METRICS = (
    "from tidegate.wire.results import Results; Results.ended = lambda *_: None\n"
    "from queueproxy.__main__ import main; main()"
)
LOG_ON = {"logging.enable-request-log": "true"}
Round = dict[str, Any]


def variants(collector: int) -> dict[str, dict[str, str]]:
    """Return the environment of each variant."""
    spans = {"TIDEGATE_TRACING_ENDPOINT": f"http://127.0.0.1:{collector}"}
    return {
        OFF: {},
        "no_metrics": {},
        "request_log": {"OBSERVABILITY_CONFIG": json.dumps(LOG_ON)},
        "spans_0": spans | {"TIDEGATE_TRACING_SAMPLING_RATE": "0"},
        "spans_0.01": spans | {"TIDEGATE_TRACING_SAMPLING_RATE": "0.01"},
        "spans_1": spans | {"TIDEGATE_TRACING_SAMPLING_RATE": "1"},
    }


LIMITS = {"no_metrics": 1.0, "request_log": 2.0, "spans_0": 1.35, "spans_0.01": 1.4, "spans_1": 2.5}
"""At most so many times `off`; generous, for they are there to notice a mistake."""


def measure(rounds: int, seconds: int, say: Callable[[str], None]) -> Figures:
    """Measure and return the figures. Raises RuntimeError when a process does not start."""
    near, cores = processes.cores()
    results: list[Round] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        backend, collector = processes.free_port(), processes.free_port()
        for module, port in (("bench.backend", backend), ("bench.span_collector", collector)):
            stack.enter_context(processes.running([sys.executable, "-m", module, str(port)], port, pinned=near))
        started = {name: _start(stack, name, environ, backend, cores) for name, environ in variants(collector).items()}

        def once(peer: peers.Peer, for_s: int) -> Round:
            before = processes.cpu_s(peer.pid)
            seen = shapes.load(shapes.SHAPES[SHAPE], peer.port, for_s, peer.headers, near, folder)
            return seen | {"cpu_us": (processes.cpu_s(peer.pid) - before) / seen["requests"] * 1e6}

        for peer in started.values():
            once(peer, 1)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            order = list(started.items()) if number % 2 == 0 else list(started.items())[::-1]
            results += [{"round": number, "variant": name} | once(peer, seconds) for name, peer in order]
    return _figures(results)


def _start(
    stack: contextlib.ExitStack, name: str, environ: dict[str, str], backend: int, cores: set[int]
) -> peers.Peer:
    port = processes.free_port()
    common = {
        "SERVING_POD_IP": "127.0.0.1",
        "QUEUE_SERVING_PORT": str(port),
        "TIDEGATE_ADMIN_PORT": str(processes.free_port()),
        "TIDEGATE_METRICS_PORT": str(processes.free_port()),
        "USER_PORT": str(backend),
        "CONTAINER_CONCURRENCY": "100",
        "SERVING_LOGGING_LEVEL": "warning",
    }
    command = [sys.executable, "-c", NO_METRICS] if name == "no_metrics" else [sys.executable, "-m", "queueproxy"]
    pid = stack.enter_context(processes.running(command, port, environ=common | environ, pinned=cores))
    return peers.Peer(port, pid, peers.ROUTED)


def _figures(results: list[Round]) -> Figures:
    per_variant = {name: [one["cpu_us"] for one in results if one["variant"] == name] for name in (OFF, *LIMITS)}
    off = statistics.median(per_variant[OFF])
    figures = Figures(rounds=results)
    figures.notes["off_cpu_us_per_request"] = round(off, 2)
    for name, limit in LIMITS.items():
        ratios = [one / base for one, base in zip(per_variant[name], per_variant[OFF], strict=True)]
        figures.bars.append(Bar(f"{name}_to_off", statistics.median(per_variant[name]) / off, "x", limit))
        figures.notes[f"{name}_spread"] = [round(min(ratios), 3), round(max(ratios), 3)]
    return figures
