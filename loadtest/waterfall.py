"""What an answer says of the cold start that its request paid: `Server-Timing` read back, and medians of many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from loadtest.figures import percentile
from loadtest.load import Reply
from tidegate.contracts import wake

PREFIX = "wake-"
WHOLE = "wake"


def read(reply: Reply) -> dict[str, float]:
    """Return milliseconds by phase, `total` for the whole; empty when the request paid no cold start."""
    found = {}
    for metric in reply.headers.get("server-timing", "").split(","):
        name, *parameters = metric.strip().split(";")
        took = next((one.partition("=")[2] for one in parameters if one.startswith("dur=")), "")
        if took and (name == WHOLE or name.startswith(PREFIX)):
            found["total" if name == WHOLE else name.removeprefix(PREFIX)] = float(took)
    return found


def phases_of(stretch: str) -> tuple[str, ...]:
    """Return the phases of a stretch by its name, as `decided` or `process-to-warm-up`; none for the total."""
    first, _, last = stretch.partition("-to-")
    if first not in wake.PHASES:
        return ()
    return wake.PHASES[wake.PHASES.index(first) : wake.PHASES.index(last or first) + 1]


def way(reply: Reply) -> str:
    """Return how the pod says it was started: forked or plain, empty when it does not say."""
    whole = next((one for one in reply.headers.get("server-timing", "").split(", ") if one.startswith("wake;")), "")
    return whole.partition('desc="')[2].rstrip('"')


def medians(wakes: Iterable[dict[str, float]]) -> dict[str, Any]:
    """Return the median of each phase over wakes that tell the same phases, in ms; the most frequent set of them."""
    told = [one for one in wakes if one]
    shapes = [tuple(one) for one in told]
    if not shapes:
        return {}
    shape = max(set(shapes), key=shapes.count)
    alike = [one for one in told if tuple(one) == shape]
    return {"wakes": len(alike), **{name: percentile([one[name] for one in alike], 0.5) for name in shape}}
