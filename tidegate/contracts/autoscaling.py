"""What the autoscaling annotations of a revision resolve to: the spec of a scaling decision.

`validate_annotations` guards the door; `resolve_spec` runs behind it and never fails: a value that does not parse falls
back to config-autoscaler. This module is also the one to import for the whole family (config, keys, validation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from tidegate.contracts import autoscaling_annotations as keys
from tidegate.contracts import autoscaling_extensions as extensions
from tidegate.contracts import schedule
from tidegate.contracts.autoscaler_config import (
    DEFAULTS,
    HISTOGRAM,
    HPA_CLASS,
    KPA_CLASS,
    PACED,
    PANIC_POLICIES,
    PREWARM_POLICIES,
    TARGET_MIN,
    WINDOW_MAX_S,
    WINDOW_MIN_S,
    AutoscalerConfig,
    ConfigError,
    panic_window_s,
    parse_config,
)
from tidegate.contracts.autoscaling_annotations import Annotations, class_of
from tidegate.contracts.autoscaling_validation import validate_annotations
from tidegate.contracts.durations import parse_duration
from tidegate.contracts.numbers import INT32_MAX, parse_integer, parse_number

__all__ = [
    "DEFAULTS",
    "HPA_CLASS",
    "KPA_CLASS",
    "AutoscalerConfig",
    "ConfigError",
    "Reachability",
    "ScalingSpec",
    "class_of",
    "parse_config",
    "resolve_spec",
    "schedule_changes_at",
    "validate_annotations",
]

T = TypeVar("T")

RPS_TARGET_FRACTION = 0.7
DEFAULT_PROGRESS_DEADLINE_S = 600.0


class Reachability(StrEnum):
    """Whether traffic can reach a revision (PodAutoscaler.spec.reachability); unknown counts as reachable."""

    UNKNOWN = ""
    REACHABLE = "Reachable"
    UNREACHABLE = "Unreachable"


@dataclass(frozen=True, slots=True)
class ScalingSpec:
    """Everything a scaling decision must know of a revision's settings.

    `total`: load one replica can take (requests in flight, or requests per second); `target`: the part of it to aim at,
    utilization applied, never above `total`. `max_scale` 0 is no limit. `target_burst_capacity`: requests, -1 keeps the
    activator in the path. `activation_scale` 0 is unset. Rates are factors, `panic_threshold` is a ratio (2.0).
    """

    metric: str = keys.CONCURRENCY
    target: float = 70.0
    total: float = 100.0
    algorithm: str = keys.LINEAR
    stable_window_s: float = 60.0
    panic_window_s: float = 6.0
    panic_threshold: float = 2.0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    target_burst_capacity: float = 211.0
    min_scale: int = 0
    max_scale: int = 0
    initial_scale: int = 1
    activation_scale: int = 0
    scale_down_delay_s: float = 0.0
    grace_s: float = 30.0
    retention_s: float = 0.0
    progress_deadline_s: float = DEFAULT_PROGRESS_DEADLINE_S
    is_scale_to_zero_enabled: bool = True
    is_reachable: bool = True
    activator_capacity: float = 100.0
    # Beyond Knative (annotations of tidegate.dev); the defaults leave its numbers alone but for paced panic.
    other_metric: str = ""
    other_target: float = 0.0
    other_total: float = 0.0
    is_panic_paced: bool = True
    last_pod_delay_s: float = -1.0
    is_min_scheduled: bool = False
    is_max_scheduled: bool = False
    is_prewarmed: bool = False


def resolve_spec(
    annotations: Annotations,
    container_concurrency: int = 0,
    config: AutoscalerConfig = DEFAULTS,
    reachability: str = Reachability.UNKNOWN,
    *,
    progress_deadline_s: float = DEFAULT_PROGRESS_DEADLINE_S,
    unix_s: float | None = None,
) -> ScalingSpec:
    """Return what a revision's annotations mean under `config`; values out of bounds are ignored, never raised.

    `container_concurrency` 0 is no limit. `progress_deadline_s` is the default of the annotation of that name. The
    schedule is read as of `unix_s`, seconds since 1970; without that time there is none.
    """
    metrics = _metrics(annotations)
    metric, other_metric = metrics[0][0], metrics[1][0] if len(metrics) > 1 else ""
    total = _total(metrics[0], container_concurrency, config)
    other_total = _total(metrics[1], container_concurrency, config) if other_metric else 0.0
    other_target = max(TARGET_MIN, other_total * _fraction(annotations, other_metric, config)) if other_metric else 0.0
    window_s = _or(_duration(annotations, keys.WINDOW, WINDOW_MIN_S), config.stable_window_s)
    panic_share = _or(_number(annotations, keys.PANIC_WINDOW_PERCENTAGE, 1, 100), config.panic_window_percentage)
    threshold = _or(_number(annotations, keys.PANIC_THRESHOLD_PERCENTAGE, 110, 1000), config.panic_threshold_percentage)
    scheduled = _scheduled(annotations, unix_s)
    return ScalingSpec(
        metric=metric,
        target=max(TARGET_MIN, total * _fraction(annotations, metric, config)),
        total=total,
        algorithm=keys.ALGORITHMS.get(_text(annotations, keys.AGGREGATION_ALGORITHM), keys.LINEAR),
        stable_window_s=window_s,
        panic_window_s=panic_window_s(window_s, panic_share),
        panic_threshold=threshold / 100,
        max_scale_up_rate=config.max_scale_up_rate,
        max_scale_down_rate=config.max_scale_down_rate,
        target_burst_capacity=_or(_burst_capacity(annotations), config.target_burst_capacity),
        min_scale=_or(scheduled.min_scale, _or(_count(annotations, keys.MIN_SCALE), config.min_scale)),
        max_scale=_or(scheduled.max_scale, _or(_count(annotations, keys.MAX_SCALE), config.max_scale)),
        initial_scale=_initial_scale(annotations, config),
        activation_scale=_or(_count(annotations, keys.ACTIVATION_SCALE, low=2), 0),
        scale_down_delay_s=_or(_duration(annotations, keys.SCALE_DOWN_DELAY), config.scale_down_delay_s),
        grace_s=config.scale_to_zero_grace_period_s,
        retention_s=_or(_duration(annotations, keys.POD_RETENTION), config.scale_to_zero_pod_retention_period_s),
        progress_deadline_s=_progress_deadline_s(annotations, progress_deadline_s),
        is_scale_to_zero_enabled=config.is_scale_to_zero_enabled,
        is_reachable=reachability != Reachability.UNREACHABLE,
        activator_capacity=config.activator_capacity,
        other_metric=other_metric,
        other_target=other_target,
        other_total=other_total,
        is_panic_paced=_or(extensions.choice_of(annotations, extensions.PANIC, PANIC_POLICIES), config.panic) == PACED,
        last_pod_delay_s=_or(extensions.last_pod_delay_of(annotations), config.last_pod_delay_s),
        is_min_scheduled=scheduled.min_scale is not None,
        is_max_scheduled=scheduled.max_scale is not None,
        is_prewarmed=_or(extensions.choice_of(annotations, extensions.PREWARM, PREWARM_POLICIES), config.prewarm)
        == HISTOGRAM,
    )


def schedule_changes_at(annotations: Annotations, unix_s: float) -> float:
    """Return when a revision's schedule says something else at the earliest (seconds since 1970; infinite: never)."""
    return schedule.bounds_at(extensions.schedule_of(annotations), unix_s).until_unix_s


# What resolve_spec reads: every reader returns None for a value that is absent or does not hold.


def _text(annotations: Annotations, spellings: tuple[str, ...]) -> str:
    found = keys.find(annotations, spellings)
    return found[1] if found else ""


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _read(annotations: Annotations, spellings: tuple[str, ...], parse: Callable[[str], T]) -> T | None:
    found = keys.find(annotations, spellings)
    if found is None:
        return None
    try:
        return parse(found[1])
    except ValueError:
        return None


def _number(annotations: Annotations, spellings: tuple[str, ...], low: float, high: float) -> float | None:
    value = _read(annotations, spellings, parse_number)
    return value if value is not None and low <= value <= high else None


def _count(annotations: Annotations, spellings: tuple[str, ...], low: int = 0) -> int | None:
    value = _read(annotations, spellings, parse_integer)
    return value if value is not None and low <= value <= INT32_MAX else None


def _duration(annotations: Annotations, spellings: tuple[str, ...], low_s: float = 0.0) -> float | None:
    value = _read(annotations, spellings, parse_duration)
    return value if value is not None and low_s <= value <= WINDOW_MAX_S else None


def _burst_capacity(annotations: Annotations) -> float | None:
    value = _read(annotations, keys.TARGET_BURST_CAPACITY, parse_number)
    return value if value is not None and (value >= 0 or value == -1) else None


def _initial_scale(annotations: Annotations, config: AutoscalerConfig) -> int:
    low = 0 if config.allow_zero_initial_scale else 1
    return _or(_count(annotations, keys.INITIAL_SCALE, low), config.initial_scale)


def _progress_deadline_s(annotations: Annotations, default_s: float) -> float:
    value = _read(annotations, (keys.PROGRESS_DEADLINE,), parse_duration)
    return value if value is not None and value > 0 else default_s


def _metrics(annotations: Annotations) -> list[tuple[str, float | None]]:
    """Return (metric, target) pairs, the leading one first; a target of None is the default."""
    found = extensions.metrics_of(annotations)
    if found:
        return list(found.items())
    metric = annotations.get(keys.METRIC[0], keys.CONCURRENCY)
    metric = metric if metric in (keys.CONCURRENCY, keys.RPS) else keys.CONCURRENCY
    return [(metric, _number(annotations, keys.TARGET, TARGET_MIN, float("inf")))]


def _total(metric: tuple[str, float | None], container_concurrency: int, config: AutoscalerConfig) -> float:
    name, target = metric
    if name == keys.RPS:
        return _or(target, config.rps_target_default)
    limit = float(container_concurrency) if container_concurrency > 0 else 0.0
    if target is None:
        return limit or config.concurrency_target_default
    return min(target, limit) if limit else target


def _fraction(annotations: Annotations, metric: str, config: AutoscalerConfig) -> float:
    percentage = _number(annotations, keys.TARGET_UTILIZATION, 1, 100)
    if percentage is not None:
        return percentage / 100
    return config.concurrency_target_fraction if metric == keys.CONCURRENCY else RPS_TARGET_FRACTION


def _scheduled(annotations: Annotations, unix_s: float | None) -> schedule.Bounds:
    if unix_s is None or extensions.SCHEDULE not in annotations:
        return schedule.Bounds()
    return schedule.bounds_at(extensions.schedule_of(annotations), unix_s)
