"""Autoscaling annotations that are Tidegate's alone (`tidegate.dev/...`): names, readers, validation.

They go where Knative's go, on the revision template. A reader returns None for a value that is absent or does not hold;
`check` says what does not hold. Left out, they change nothing but that panic is paced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from tidegate.contracts import problems, schedule
from tidegate.contracts.autoscaler_config import (
    LAST_POD_DELAY_MAX_S,
    PANIC_POLICIES,
    PREWARM_POLICIES,
    TARGET_MIN,
)
from tidegate.contracts.autoscaling_annotations import CONCURRENCY, RPS
from tidegate.contracts.durations import parse_duration
from tidegate.contracts.numbers import parse_number
from tidegate.contracts.problems import FieldProblem

T = TypeVar("T")
Annotations = Mapping[str, str]

PREFIX = "tidegate.dev/"
METRICS = PREFIX + "metrics"
PANIC = PREFIX + "panic"
LAST_POD_DELAY = PREFIX + "last-pod-delay"
SCHEDULE = PREFIX + "schedule"
PREWARM = PREFIX + "prewarm"
STANDBY_PODS = PREFIX + "standby-pods"
KEYS = frozenset({METRICS, PANIC, LAST_POD_DELAY, SCHEDULE, PREWARM, STANDBY_PODS})
STANDBY_PODS_MAX = 1000


def parse_metrics(text: str) -> dict[str, float | None]:
    """Return metric to target (None: the default) of `concurrency=10,rps`; raises ValueError. The first one leads."""
    found: dict[str, float | None] = {}
    for part in text.split(","):
        name, equals, target = part.strip().partition("=")
        if name not in (CONCURRENCY, RPS):
            raise ValueError(f"{name!r} is neither {CONCURRENCY} nor {RPS}")
        if name in found:
            raise ValueError(f"{name} comes twice")
        found[name] = parse_number(target) if equals else None
        if equals and found[name] < TARGET_MIN:  # type: ignore[operator]
            raise ValueError(f"target {target} should be at least {TARGET_MIN}")
    return found


def parse_last_pod_delay(text: str) -> float:
    """Return the delay in seconds; raises ValueError for anything but 0s to 24h in whole seconds."""
    value_s = parse_duration(text)
    if not 0 <= value_s <= LAST_POD_DELAY_MAX_S:
        raise ValueError(f"expected 0s <= {text} <= 24h0m0s")
    if not value_s.is_integer():
        raise ValueError("must be specified with at most second precision")
    return value_s


def parse_standby_pods(text: str) -> int:
    """Return a number of pods; raises ValueError for anything but a whole number from 0 to 1000."""
    if not (text.isascii() and text.isdecimal()) or int(text) > STANDBY_PODS_MAX:
        raise ValueError(f"expected a whole number, 0 <= {text} <= {STANDBY_PODS_MAX}")
    return int(text)


def metrics_of(annotations: Annotations) -> dict[str, float | None] | None:
    """Return the metrics to scale on, the leading one first."""
    return _read(annotations, METRICS, parse_metrics)


def last_pod_delay_of(annotations: Annotations) -> float | None:
    """Return how long the last pod stays without load, in seconds."""
    return _read(annotations, LAST_POD_DELAY, parse_last_pod_delay)


def schedule_of(annotations: Annotations) -> tuple[schedule.Entry, ...]:
    """Return the schedule's entries; none for a revision without one."""
    return _read(annotations, SCHEDULE, schedule.parse) or ()


def standby_pods_of(annotations: Annotations) -> int:
    """Return how many pods stand by, started and out of rotation."""
    return _read(annotations, STANDBY_PODS, parse_standby_pods) or 0


def choice_of(annotations: Annotations, key: str, choices: tuple[str, ...]) -> str | None:
    """Return an annotation that is one of `choices`."""
    value = annotations.get(key)
    return value if value in choices else None


def check(annotations: Annotations) -> list[FieldProblem]:
    """Return what is wrong with these annotations; paths are their keys."""
    found = []
    parsers: tuple[tuple[str, Callable[[str], object]], ...] = (
        (METRICS, parse_metrics),
        (LAST_POD_DELAY, parse_last_pod_delay),
        (SCHEDULE, schedule.parse),
        (STANDBY_PODS, parse_standby_pods),
    )
    for key, parse in parsers:
        if key in annotations:
            try:
                parse(annotations[key])
            except ValueError as error:
                found.append(FieldProblem(f"invalid value: {annotations[key]}", (key,), str(error)))
    for key, choices in ((PANIC, PANIC_POLICIES), (PREWARM, PREWARM_POLICIES)):
        if key in annotations and annotations[key] not in choices:
            found.append(problems.invalid(annotations[key], key))
    return found


def _read(annotations: Annotations, key: str, parse: Callable[[str], T]) -> T | None:
    text = annotations.get(key)
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError:
        return None
