"""The ConfigMap config-autoscaler: keys, defaults and constraints as Knative's users know them.

One frozen value replaces another when the ConfigMap changes; a ConfigMap that breaks a constraint is refused whole
(`ConfigError`), so that readers keep the last good value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from tidegate.contracts.durations import parse_duration
from tidegate.contracts.numbers import parse_boolean, parse_integer, parse_number

KPA_CLASS = "kpa.autoscaling.knative.dev"
HPA_CLASS = "hpa.autoscaling.knative.dev"

WINDOW_MIN_S = 6.0
WINDOW_MAX_S = 3600.0
TARGET_MIN = 0.01
LAST_POD_DELAY_MAX_S = 86_400.0

PACED = "paced"
PANIC_POLICIES = (PACED, "knative")
HISTOGRAM = "histogram"
PREWARM_POLICIES = ("off", HISTOGRAM)


class ConfigError(ValueError):
    """config-autoscaler cannot be used: the message names the key and the constraint."""


@dataclass(frozen=True, slots=True)
class AutoscalerConfig:
    """config-autoscaler, parsed. Fractions are 0..1, percentages 0..100, times in seconds."""

    concurrency_target_fraction: float = 0.7
    concurrency_target_default: float = 100.0
    rps_target_default: float = 200.0
    target_burst_capacity: float = 211.0
    stable_window_s: float = 60.0
    panic_window_percentage: float = 10.0
    panic_threshold_percentage: float = 200.0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    is_scale_to_zero_enabled: bool = True
    scale_to_zero_grace_period_s: float = 30.0
    scale_to_zero_pod_retention_period_s: float = 0.0
    scale_down_delay_s: float = 0.0
    pod_autoscaler_class: str = KPA_CLASS
    activator_capacity: float = 100.0
    initial_scale: int = 1
    allow_zero_initial_scale: bool = False
    min_scale: int = 0
    max_scale: int = 0
    max_scale_limit: int = 0
    # Tidegate's own: keys that begin with `tidegate-`. A delay below zero is none.
    panic: str = PACED
    last_pod_delay_s: float = -1.0
    prewarm: str = "off"


DEFAULTS = AutoscalerConfig()

_KEYS: dict[str, tuple[str, Callable[[str], object]]] = {
    "container-concurrency-target-percentage": ("concurrency_target_fraction", parse_number),
    "container-concurrency-target-default": ("concurrency_target_default", parse_number),
    "requests-per-second-target-default": ("rps_target_default", parse_number),
    "target-burst-capacity": ("target_burst_capacity", parse_number),
    "stable-window": ("stable_window_s", parse_duration),
    "panic-window-percentage": ("panic_window_percentage", parse_number),
    "panic-threshold-percentage": ("panic_threshold_percentage", parse_number),
    "max-scale-up-rate": ("max_scale_up_rate", parse_number),
    "max-scale-down-rate": ("max_scale_down_rate", parse_number),
    "enable-scale-to-zero": ("is_scale_to_zero_enabled", parse_boolean),
    "scale-to-zero-grace-period": ("scale_to_zero_grace_period_s", parse_duration),
    "scale-to-zero-pod-retention-period": ("scale_to_zero_pod_retention_period_s", parse_duration),
    "scale-down-delay": ("scale_down_delay_s", parse_duration),
    "pod-autoscaler-class": ("pod_autoscaler_class", str),
    "activator-capacity": ("activator_capacity", parse_number),
    "initial-scale": ("initial_scale", parse_integer),
    "allow-zero-initial-scale": ("allow_zero_initial_scale", parse_boolean),
    "min-scale": ("min_scale", parse_integer),
    "max-scale": ("max_scale", parse_integer),
    "max-scale-limit": ("max_scale_limit", parse_integer),
    "tidegate-panic": ("panic", str),
    "tidegate-last-pod-delay": ("last_pod_delay_s", parse_duration),
    "tidegate-prewarm": ("prewarm", str),
}
KEY_OF_FIELD = {field: key for key, (field, _parse) in _KEYS.items()}
assert set(KEY_OF_FIELD) == {field.name for field in fields(AutoscalerConfig)}


def parse_config(data: Mapping[str, str] | None) -> AutoscalerConfig:
    """Return the config in a ConfigMap's `data`; unknown keys (`_example`) are ignored; raises `ConfigError`."""
    values: dict[str, object] = {}
    for key, (field, parse) in _KEYS.items():
        text = (data or {}).get(key)
        if text is None:
            continue
        try:
            values[field] = parse(text)
        except ValueError as error:
            raise ConfigError(f"failed to parse {key}: {error}") from error
    fraction = values.get("concurrency_target_fraction")
    if isinstance(fraction, float) and fraction > 1:
        values["concurrency_target_fraction"] = fraction / 100
    config = AutoscalerConfig(**values)  # type: ignore[arg-type]
    for is_good, complaint in _constraints(config):
        if not is_good:
            raise ConfigError(complaint)
    return config


def panic_window_s(stable_window_s: float, percentage: float) -> float:
    """Return the panic window: a share of the stable one in whole seconds, at least one."""
    # Go rounds halves away from zero, Python to even.
    return max(1.0, float(int(stable_window_s * percentage / 100 + 0.5)))


def _constraints(config: AutoscalerConfig) -> list[tuple[bool, str]]:
    fraction, target = config.concurrency_target_fraction, config.concurrency_target_default
    burst, window_s, limit = config.target_burst_capacity, config.stable_window_s, config.max_scale_limit
    return [
        (0 < fraction <= 1, "container-concurrency-target-percentage must be above 0 and at most 100"),
        (
            fraction * target >= TARGET_MIN,
            "container-concurrency-target-percentage and container-concurrency-target-default "
            f"yield a target below {TARGET_MIN}",
        ),
        (config.rps_target_default >= TARGET_MIN, f"requests-per-second-target-default must be at least {TARGET_MIN}"),
        (burst >= 0 or burst == -1, f"target-burst-capacity must be -1 or at least 0, was {burst:g}"),
        (
            WINDOW_MIN_S <= window_s <= WINDOW_MAX_S,
            f"stable-window must lie between 6s and 1h0m0s, was {window_s:g}s",
        ),
        (window_s.is_integer(), "stable-window must be specified with at most second precision"),
        (1 <= config.panic_window_percentage <= 100, "panic-window-percentage must lie between 1 and 100"),
        (config.max_scale_up_rate > 1, f"max-scale-up-rate must be greater than 1, was {config.max_scale_up_rate:g}"),
        (
            config.max_scale_down_rate > 1,
            f"max-scale-down-rate must be greater than 1, was {config.max_scale_down_rate:g}",
        ),
        (config.scale_to_zero_grace_period_s > 0, "scale-to-zero-grace-period must be positive"),
        (config.scale_to_zero_pod_retention_period_s >= 0, "scale-to-zero-pod-retention-period cannot be negative"),
        (config.scale_down_delay_s >= 0, "scale-down-delay cannot be negative"),
        (
            config.scale_down_delay_s.is_integer(),
            "scale-down-delay must be specified with at most second precision",
        ),
        (config.activator_capacity >= 1, f"activator-capacity must be at least 1, was {config.activator_capacity:g}"),
        (config.initial_scale >= 0, f"initial-scale must not be negative, was {config.initial_scale}"),
        (
            config.initial_scale > 0 or config.allow_zero_initial_scale,
            "initial-scale=0 is not allowed unless allow-zero-initial-scale is true",
        ),
        (config.min_scale >= 0, f"min-scale must not be negative, was {config.min_scale}"),
        (config.max_scale >= 0, f"max-scale must not be negative, was {config.max_scale}"),
        (
            config.max_scale == 0 or config.min_scale <= config.max_scale,
            f"min-scale={config.min_scale} is greater than max-scale={config.max_scale}",
        ),
        (limit >= 0, f"max-scale-limit must not be negative, was {limit}"),
        (limit == 0 or config.max_scale != 0, "max-scale=0 (unlimited) needs max-scale-limit=0"),
        (limit == 0 or config.max_scale <= limit, f"max-scale={config.max_scale} is above max-scale-limit={limit}"),
        (config.panic in PANIC_POLICIES, f"tidegate-panic must be one of {', '.join(PANIC_POLICIES)}"),
        (
            config.last_pod_delay_s == -1 or 0 <= config.last_pod_delay_s <= LAST_POD_DELAY_MAX_S,
            "tidegate-last-pod-delay must lie between 0s and 24h0m0s",
        ),
        (
            config.last_pod_delay_s.is_integer(),
            "tidegate-last-pod-delay must be specified with at most second precision",
        ),
        (config.prewarm in PREWARM_POLICIES, f"tidegate-prewarm must be one of {', '.join(PREWARM_POLICIES)}"),
    ]
