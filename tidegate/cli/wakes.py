"""`tidegate why NAME --wake`: the last cold starts that requests paid, phase by phase, drawn as waterfalls.

The autoscaler keeps them (page /wakes); a pod's way of starting that it did not tell itself is read from its Events. A
stretch that nobody told apart is drawn as one, under the names of its phases.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from tidegate.contracts import wake
from tidegate.kube import resources as kinds
from tidegate.kube.api import ApiError
from tidegate.kube.client import Client

WIDTH = 40
SHOWN = 5
"""Wakes of a revision that are shown without --since."""
BAR, GAP = "█", "·"
STARTED = "Started"
APP = "container user-container"
FROM_TEMPLATE = "forked from a template"

Found = dict[str, Any]


def recent(wakes: list[Found], oldest_unix_s: float | None) -> list[Found]:
    """Keep the last few, or with --since all of that time."""
    if oldest_unix_s is None:
        return wakes[-SHOWN:]
    return [one for one in wakes if one["unix_s"] >= oldest_unix_s]


def read(page: bytes) -> list[Found]:
    """Return the wakes of the autoscaler's page, the newest last."""
    found: list[Found] = msgspec.json.decode(page)
    return found


async def complete(client: Client, namespace: str, wakes: list[Found]) -> list[Found]:
    """Fill in how pods were started that did not tell it, from the Events of their node, where these still are."""
    if all(one["way"] for one in wakes):
        return wakes
    try:
        page = await client.list(kinds.EVENTS, namespace, fields=f"reason={STARTED}")
    except ApiError as error:
        if error.is_not_found or error.status == 403:
            return wakes
        raise
    ways = {event["involvedObject"]["name"]: _way(event["message"]) for event in page.items if APP in event["message"]}
    return [one if one["way"] else {**one, "way": ways.get(one["pod"])} for one in wakes]


def _way(message: str) -> str | None:
    if "(pid" not in message:
        return None  # a kubelet's: it says nothing of templates
    return wake.FORKED if FROM_TEMPLATE in message else wake.PLAIN


def render(name: str, wakes: list[Found]) -> str:
    """Return the wakes of one revision as text: a heading, then one bar per phase, each where the last one ended."""
    if not wakes:
        return f"{name}\n  no request has paid a cold start that the autoscaler remembers"
    return "\n\n".join([name, *(waterfall(one) for one in wakes)])


def waterfall(one: Found) -> str:
    """Return one wake: milliseconds and a bar for each phase, to one scale."""
    started = {wake.FORKED: "forked from a template", wake.PLAIN: "started plainly"}.get(one["way"] or "", "started")
    clock = time.strftime("%H:%M:%S", time.localtime(one["unix_s"]))
    lines = [f"{clock}  {one['total_ms']:.1f} ms  pod {one['pod']}, {started}"]
    rows, total, before = _rows(one), max(one["total_ms"], 1e-9), 0.0
    width = max(len(name) for name, _, _ in rows)
    for name, took_ms, meaning in rows:
        begin, end = round(WIDTH * before / total), round(WIDTH * (before + took_ms) / total)
        drawn = (GAP * begin + BAR * (end - begin)).ljust(WIDTH)
        lines.append(f"  {name.ljust(width)}  {took_ms:>9.1f} ms  {drawn}  {meaning}".rstrip())
        before += took_ms
    return "\n".join(lines)


def _rows(one: Found) -> list[tuple[str, float, str]]:
    """Return name, milliseconds and meaning of each stretch, in order."""
    shared = {tuple(each["phases"]): each["ms"] for each in one["together"]}
    begins = {phases[0]: phases for phases in shared}
    inner = {phase for phases in shared for phase in phases}
    rows: list[tuple[str, float, str]] = []
    for phase in wake.PHASES:
        if phase in begins:
            phases = begins[phase]
            rows.append((f"{phases[0]} to {phases[-1]}", shared[phases], "together; each one's share is unknown"))
        elif phase not in inner:
            rows.append((phase, one["phases"][phase], wake.MEANINGS[phase]))
    return rows
