"""A wake: one cold start that a held request paid, from its arrival to its first byte, cut into phases.

Pure. Every border between two phases is a moment of the activator's own clock: it knows some by itself, and counts
back from what a pod tells as durations (`Start`). Between two borders that are known there may be several phases whose
own share nobody told: they then stay one stretch, and nothing is invented. Stretches add up to the whole, exactly, as
they are differences of neighbours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

HELD: Final = "held"
DECIDED: Final = "decided"
SCHEDULED: Final = "scheduled"
PROCESS: Final = "process"
IMPORTS: Final = "imports"
WEIGHTS: Final = "weights"
WARM_UP: Final = "warm-up"
READY: Final = "ready"
FIRST_BYTE: Final = "first-byte"
PHASES: Final = (HELD, DECIDED, SCHEDULED, PROCESS, IMPORTS, WEIGHTS, WARM_UP, READY, FIRST_BYTE)
"""In their order; `MEANINGS` has what each is."""
OWN_PHASES: Final = (PROCESS, IMPORTS, WEIGHTS, WARM_UP)
"""Those that happen inside the pod, and that only it can tell."""
MEANINGS: Final = {
    HELD: "until the autoscaler was asked for a pod",
    DECIDED: "until the autoscaler had asked for it",
    SCHEDULED: "until its process began",
    PROCESS: "until the program ran",
    IMPORTS: "modules imported",
    WEIGHTS: "model read",
    WARM_UP: "model run once",
    READY: "until the activator could use the pod",
    FIRST_BYTE: "until the answer began",
}

FORKED: Final = "forked"
PLAIN: Final = "plain"
WAYS: Final = (FORKED, PLAIN)

ANNOTATION: Final = "tidegate.dev/wake-timing"
OFF: Final = "disabled"
ON: Final = "enabled"

START_LIMIT_BYTES: Final = 512
START_LIMIT_MS: Final = 86_400_000.0
NAME_LIMIT: Final = 253
_POD: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_ALL = "all"
_OPEN = "open"


@dataclass(frozen=True, slots=True)
class Start:
    """What a pod tells of its start, in seconds, None where it does not know.

    `own_s`: by phase of `OWN_PHASES`. `all_s`: from its process' begin until it took connections. `open_s`: since then,
    when this was told. `way`: `forked` from a template or `plain`, empty when unknown. `pod`: its name.
    """

    open_s: float = 0.0
    all_s: float | None = None
    own_s: tuple[float | None, ...] = (None,) * len(OWN_PHASES)
    way: str = ""
    pod: str = ""


NOTHING_TOLD: Final = Start()


def encode_start(start: Start) -> str:
    """Return the value of the header `X-Tidegate-Start`: `key=value` by blanks, times in milliseconds."""
    words = [f"{_OPEN}={start.open_s * 1e3:.3f}"]
    if start.all_s is not None:
        words.append(f"{_ALL}={start.all_s * 1e3:.3f}")
    told = zip(OWN_PHASES, start.own_s, strict=True)
    words += [f"{phase}={value * 1e3:.3f}" for phase, value in told if value is not None]
    words += [f"{key}={value}" for key, value in (("way", start.way), ("pod", start.pod)) if value]
    return " ".join(words)


def decode_start(text: bytes) -> Start | None:
    """Read what `encode_start` wrote; None for anything that is not it. Words that are not known are passed over."""
    if len(text) > START_LIMIT_BYTES or not text.isascii():
        return None
    words = dict(word.split("=", 1) for word in text.decode("ascii").split() if "=" in word)
    open_s = _seconds(words.get(_OPEN))
    if open_s is None:
        return None
    way, pod = words.get("way", ""), words.get("pod", "")
    return Start(
        open_s=open_s,
        all_s=_seconds(words.get(_ALL)),
        own_s=tuple(_seconds(words.get(phase)) for phase in OWN_PHASES),
        way=way if way in WAYS else "",
        pod=pod if _POD.fullmatch(pod) else "",
    )


def _seconds(text: str | None) -> float | None:
    if text is None or len(text) > 20:
        return None
    try:
        value_ms = float(text)
    except ValueError:
        return None
    return value_ms / 1e3 if 0.0 <= value_ms <= START_LIMIT_MS else None


class Stretch(msgspec.Struct, array_like=True, frozen=True):
    """Neighbouring phases and what they took together, in microseconds: a single one where its own share is known."""

    phases: tuple[str, ...]
    duration_us: int

    @property
    def name(self) -> str:
        """The phase, or `first-to-last`."""
        return self.phases[0] if len(self.phases) == 1 else f"{self.phases[0]}-to-{self.phases[-1]}"


class Wake(msgspec.Struct, tag="wake", array_like=True, frozen=True):
    """One wake, as it travels from the activator to the autoscaler: durations only.

    `pod`: the name of the pod that answered, its address where it did not tell. `way`: how its process was started.
    `stretches` cover all of `PHASES` in order.
    """

    namespace: str
    revision: str
    pod: str
    way: str
    stretches: tuple[Stretch, ...]

    @property
    def total_us(self) -> int:
        """From the request's arrival until the answer began, in microseconds."""
        return sum(stretch.duration_us for stretch in self.stretches)


@dataclass(slots=True)
class Marks:
    """The borders of one wake that the activator saw itself, in seconds of its clock; None for those it did not see.

    `arrived`: the request came. `asked`: the autoscaler was told. `scaled`: it said that a pod is asked for. `seated`:
    the request got a pod. `answered`: the answer's head came.
    """

    arrived: float
    asked: float | None = None
    scaled: float | None = None
    seated: float | None = None
    answered: float | None = None


def stretches(marks: Marks, start: Start = NOTHING_TOLD, told_at: float | None = None) -> tuple[Stretch, ...]:
    """Cut a wake into phases. `start` is what the pod told at `told_at` (None: it told nothing).

    What a pod did before the request came counts nothing: each border is held between its neighbours.
    """
    assert marks.answered is not None, "a wake ends with its answer"
    inside = _inside(start, told_at) if told_at is not None else [None] * (len(OWN_PHASES) + 1)
    borders = [marks.arrived, marks.asked, marks.scaled, *inside, marks.seated, marks.answered]
    found: list[Stretch] = []
    phases: list[str] = []
    before_us = 0
    end_us = max(0, round((marks.answered - marks.arrived) * 1e6))
    for phase, border in zip(PHASES, borders[1:], strict=True):
        phases.append(phase)
        if border is None:
            continue
        at_us = min(max(round((border - marks.arrived) * 1e6), before_us), end_us)
        found.append(Stretch(tuple(phases), at_us - before_us))
        phases, before_us = [], at_us
    return tuple(found)


def _inside(start: Start, told_at: float) -> list[float | None]:
    """Return the pod's own borders: its process' begin, then the end of each of `OWN_PHASES`."""
    borders: list[float | None] = [None] * len(OWN_PHASES) + [told_at - start.open_s]
    for position in range(len(OWN_PHASES) - 1, -1, -1):
        after, took_s = borders[position + 1], start.own_s[position]
        if after is not None and took_s is not None:
            borders[position] = after - took_s
    if borders[0] is None and start.all_s is not None:
        borders[0] = told_at - start.open_s - start.all_s
    for position, took_s in enumerate(start.own_s[:-1]):
        before = borders[position]
        if borders[position + 1] is None and before is not None and took_s is not None:
            borders[position + 1] = before + took_s
    return borders


def is_plausible(wake: Wake) -> bool:
    """Whether a wake from the network is one: all phases once and in order, no negative times, short names."""
    phases = tuple(phase for stretch in wake.stretches for phase in stretch.phases)
    names = (wake.namespace, wake.revision, wake.pod)
    return (
        phases == PHASES
        and all(stretch.phases and 0 <= stretch.duration_us < 1e12 for stretch in wake.stretches)
        and all(len(name) <= NAME_LIMIT for name in names)
        and wake.way in ("", *WAYS)
    )


def server_timing(wake: Wake) -> bytes:
    """Return the header line for the client (W3C Server Timing): one metric per stretch in ms, then the whole wake."""
    metrics = [f"wake-{stretch.name};dur={_ms(stretch.duration_us)}" for stretch in wake.stretches]
    about = f';desc="{wake.way}"' if wake.way else ""
    metrics.append(f"wake;dur={_ms(wake.total_us)}{about}")
    return f"Server-Timing: {', '.join(metrics)}\r\n".encode("ascii")


def sentence(wake: Wake) -> str:
    """Return a wake in one line, for an Event."""
    parts = ", ".join(f"{stretch.name} {_short(stretch.duration_us)}" for stretch in wake.stretches)
    way = {FORKED: "forked from a template", PLAIN: "started plainly", "": "started"}[wake.way]
    return f"Woke in {_short(wake.total_us)} ms by pod {wake.pod}, {way}: {parts}"


def as_document(wake: Wake) -> dict[str, Any]:
    """Return a wake for JSON: `phases` has milliseconds, null where a phase's own share is unknown; those are in
    `together`."""
    known = {stretch.phases[0]: stretch.duration_us / 1e3 for stretch in wake.stretches if len(stretch.phases) == 1}
    shared = [stretch for stretch in wake.stretches if len(stretch.phases) > 1]
    return {
        "namespace": wake.namespace,
        "revision": wake.revision,
        "pod": wake.pod,
        "way": wake.way or None,
        "total_ms": wake.total_us / 1e3,
        "phases": {phase: known.get(phase) for phase in PHASES},
        "together": [{"phases": list(one.phases), "ms": one.duration_us / 1e3} for one in shared],
    }


def parse_enabled(text: str) -> bool:
    """Read the annotation `tidegate.dev/wake-timing`; raises ValueError for anything but enabled and disabled."""
    if text not in (ON, OFF):
        raise ValueError(f"{text!r} is neither {ON} nor {OFF}")
    return text == ON


def _ms(duration_us: int) -> str:
    return f"{duration_us / 1e3:.3f}"


def _short(duration_us: int) -> str:
    value_ms = duration_us / 1e3
    return f"{value_ms:.0f}" if value_ms >= 10 else f"{value_ms:.1f}"
