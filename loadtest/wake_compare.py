"""Wakes of one service started from a template beside the same service started plainly, in one run, by turns.

Two sets of copies take turns: one as its YAML has it, one with `tidegate.dev/preload: none`. The
request is the service's first real work (an inference for a model), and its time is that of the whole: hold, decision,
pod, imports, weights, answer. The app's own plain start alone is measured between them.
"""

from __future__ import annotations

import asyncio
import calendar
import json
import sys
import time
from typing import Any

from loadtest import load, wake_services, waterfall
from loadtest.figures import Bar, Figures, percentile
from loadtest.instance import Instance
from loadtest.wake import GRACE, deploy, own_start, settle

PRELOAD = "tidegate.dev/preload"
COPIES = 3
TEMPLATE_PAUSE_S = 6.0
DIGIT = [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11, 8, 0, 0, 4, 12, 0, 0, 8, 8, 0]
DIGIT += [0, 5, 8, 0, 0, 9, 8, 0, 0, 4, 11, 0, 1, 12, 7, 0, 0, 2, 14, 5, 10, 12, 0, 0, 0, 0, 6, 13, 10, 0, 0, 0]
"""The first image of scikit-learn's digits: a zero."""
WORK: dict[str, tuple[str, str, bytes]] = {
    name: ("POST", "/v1/models/digits:predict", json.dumps({"instances": [DIGIT]}).encode())
    for name in ("digits", *wake_services.MODEL_SERVERS)
}
LIMITS = {"digits": 150.0, "hello": 150.0}
OUR_SHARE_LIMIT_MS = 60.0
SPEEDUP = {"digits": 8.0}
INSIDE = ("process", "imports", "weights", "warm-up", "process-to-warm-up")
"""The stretches of a wake that are the app's own start."""


async def measure(instance: Instance, service: str, wakes: int) -> Figures:
    """Wake `service` (an example's name) `wakes` times in each of the two ways."""
    figures = Figures()
    await instance.configure("config-autoscaler", {"scale-to-zero-grace-period": GRACE})
    hosts = {
        way: await deploy(instance, service, [f"{way}-{number}" for number in range(COPIES)], annotations)
        for way, annotations in (("template", {}), ("plain", {PRELOAD: "none"}))
    }
    # The first pods started plainly and asked for the template.
    await asyncio.sleep(TEMPLATE_PAUSE_S)
    for number in range(wakes):
        for way in ("template", "plain"):
            name = list(hosts[way])[number % COPIES]
            entry = await _wake(instance, service, name, hosts[way][name])
            figures.rounds.append({"kind": "wake", "way": way, **entry})
            print(f"wake {number + 1}/{wakes} {way}: {entry}", file=sys.stderr, flush=True)
        own_ms = round(await own_start(service) * 1e3, 2)
        figures.rounds.append({"kind": "own start", "first_byte_ms": own_ms})
    _summarise(figures, service)
    return figures


async def _wake(instance: Instance, service: str, name: str, host: str) -> dict[str, Any]:
    await settle(instance, name)
    revision = await instance.revision_of(name)
    method, target, body = WORK.get(service, ("GET", "/", b""))
    since = time.time()
    reply = await load.get(instance.port, host, target, method=method, body=body)
    started = waterfall.way(reply) or await _way_started(instance, revision, since)
    return {
        "status": reply.status,
        "first_byte_ms": round(reply.first_byte_s * 1e3, 2),
        "started": started,
        "phases_ms": waterfall.read(reply),
    }


async def _way_started(instance: Instance, revision: str, since_unix_s: float) -> str:
    """Return how the node says it started the app: from its Event, which comes a moment later."""
    for _ in range(100):
        events = await instance.command("kubectl", "get", "events", "-n", "default", "-o", "json")
        for event in json.loads(events)["items"]:
            is_app = event["reason"] == "Started" and "container user-container" in event["message"]
            if is_app and event["involvedObject"]["name"].startswith(f"{revision}-") and _after(event, since_unix_s):
                return "forked" if "forked from a template" in event["message"] else "plain"
        await asyncio.sleep(0.1)
    return "unknown"


def _after(event: dict[str, Any], since_unix_s: float) -> bool:
    stamp = time.strptime(event["lastTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
    return calendar.timegm(stamp) >= int(since_unix_s)


def _summarise(figures: Figures, service: str) -> None:
    def times(way: str) -> list[float]:
        return [entry["first_byte_ms"] for entry in figures.rounds if entry.get("way") == way]

    own = [entry["first_byte_ms"] for entry in figures.rounds if entry["kind"] == "own start"]
    wakes = [entry for entry in figures.rounds if entry["kind"] == "wake"]
    fast, plain = percentile(times("template"), 0.5), percentile(times("plain"), 0.5)
    figures.bars = [Bar("wake_p50", fast, "ms", LIMITS.get(service, 150.0))]
    if service in SPEEDUP:
        figures.bars.append(Bar("plain_over_template", plain / fast, "x", SPEEDUP[service], at_least=True))
    elif service not in wake_services.MODEL_SERVERS:
        figures.bars.append(Bar("our_share_p50", plain - percentile(own, 0.5), "ms", OUR_SHARE_LIMIT_MS))
    figures.bars += [
        Bar("lost_requests", sum(entry["status"] != 200 for entry in wakes), "", 0),
        Bar(
            "started_otherwise_than_asked",
            sum((entry["started"] == "forked") != (entry["way"] == "template") for entry in wakes),
            "",
            0,
        ),
    ]
    figures.notes = {
        "template_p95_ms": percentile(times("template"), 0.95),
        "plain_p50_ms": plain,
        "plain_p95_ms": percentile(times("plain"), 0.95),
        "own_plain_start_p50_ms": percentile(own, 0.5),
        "phases_p50_ms": {
            way: waterfall.medians(entry["phases_ms"] for entry in wakes if entry["way"] == way)
            for way in ("template", "plain")
        },
        "outside_the_app_p50_ms": {
            way: percentile([_outside(entry["phases_ms"]) for entry in wakes if entry["way"] == way], 0.5)
            for way in ("template", "plain")
        },
    }


def _outside(phases: dict[str, float]) -> float:
    """Return what a wake took beside the app's own start, in ms, by its own record."""
    return phases.get("total", 0.0) - sum(phases.get(name, 0.0) for name in INSIDE)
