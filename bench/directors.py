"""Microseconds that the directors of gateway, activator and queueproxy add to a request: direct and finished, no
sockets.

`python -m bench.directors --json`. Warm path: a ready pod with room. The engine around it is measured by
`bench.engine`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import time
from types import SimpleNamespace
from typing import Any

from tidegate.wire.director import Outcome, Request

REQUESTS = 20_000
PODS = [(f"10.0.0.{number}", 8012) for number in range(1, 11)]
HOST = "hello.default.localhost"
NAMED = [
    (b"host", HOST.encode()),
    (b"user-agent", b"bench"),
    (b"knative-serving-namespace", b"default"),
    (b"knative-serving-revision", b"hello-00001"),
]


def _gateway() -> Any:
    from gateway import config, metrics, pick, pipeline, routes, wakes
    from tidegate.contracts.decision import ServingMode
    from tidegate.wire.balance import Balancer

    backend = pick.Backend(ServingMode.SERVE)
    backend.pods.replace(PODS)
    hosted = []
    for number in range(1000):
        name = "hello" if number == 0 else f"other-{number}"
        traffic = [{"revisionName": f"{name}-00001", "percent": 80}, {"revisionName": f"{name}-00002", "percent": 20}]
        status = {"url": f"http://{name}.default.localhost", "traffic": traffic}
        hosted.append(routes.read_route({"metadata": {"name": name, "namespace": "default"}, "status": status}))
    watch: Any = SimpleNamespace(
        table=routes.build_table(hosted), activators=Balancer(), backend=lambda _key: backend, is_synced=True
    )
    return pipeline.Pipeline(config.Config(), watch, metrics.Metrics(), wakes.Wakes(), lambda: False, time.monotonic)


def _activator() -> Any:
    from activator import config, demand, metrics, pipeline, watch

    revision = watch.parse_revision({"metadata": {}, "spec": {}}, 1.0)
    world: Any = SimpleNamespace(revision=lambda _key: revision, usable=lambda _key: PODS)
    result = pipeline.Pipeline(config.Config(), world, metrics.Metrics(), lambda: False, time.monotonic)
    link: Any = SimpleNamespace(send=lambda _message: True)
    result.backends = world
    result.demand = demand.Demand(link, time.monotonic, result.waiting_for)
    return result


def _queueproxy() -> Any:
    from queueproxy import config, limiter, meter, metrics, pipeline, probe

    settings = config.Config(container_concurrency=100)
    slots: Any = limiter.Limiter(settings.container_concurrency, settings.queue_limit)
    return pipeline.Pipeline(
        settings,
        slots,
        meter.Meter(time.monotonic()),
        probe.Readiness([probe.AppProbe(8080)]),
        metrics.Metrics(),
        lambda: False,
        time.monotonic,
    )


def _round_us(director: Any) -> float:
    now, index = time.monotonic(), dict(NAMED)
    requests = [Request(b"GET", b"/", HOST, NAMED, "10.0.9.9", now, index=index) for _ in range(REQUESTS)]
    outcome = Outcome(200, None, 0.01, 0.01, director.direct(requests[0]))
    director.finished(requests[0], outcome)
    began = time.process_time()
    for request in requests:
        director.direct(request)
        director.finished(request, outcome)
    return (time.process_time() - began) / REQUESTS * 1e6


async def run(rounds: int) -> dict[str, Any]:
    """Measure all three, alternating, and return the report."""
    directors = {
        "gateway_1000_routes": _gateway(),
        "activator_warm": _activator(),
        "queueproxy_limit_100": _queueproxy(),
    }
    results = [{name: _round_us(director) for name, director in directors.items()} for _ in range(rounds)]
    bars = [
        {
            "name": f"director_{name}_us",
            "value": statistics.median(one[name] for one in results),
            "unit": "us",
            "limit": None,
            "holds": True,
        }
        for name in directors
    ]
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return {"commit": commit.stdout.strip(), "machine": machine, "rounds": results, "bars": bars}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    options = parser.parse_args()
    report = asyncio.run(run(options.rounds))
    if options.json:
        print(json.dumps(report))
        return
    for bar in report["bars"]:
        print(f"{bar['name']:40} {bar['value']:6.2f} {bar['unit']}")


if __name__ == "__main__":
    main()
