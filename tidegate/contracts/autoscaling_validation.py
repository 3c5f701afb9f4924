"""Validation of the autoscaling annotations of a revision, with Knative's wordings. Paths are the annotation keys."""

from __future__ import annotations

from tidegate.contracts import autoscaling_annotations as keys
from tidegate.contracts import autoscaling_extensions as extensions
from tidegate.contracts import problems
from tidegate.contracts.autoscaler_config import (
    DEFAULTS,
    HPA_CLASS,
    KPA_CLASS,
    TARGET_MIN,
    WINDOW_MAX_S,
    WINDOW_MIN_S,
    AutoscalerConfig,
)
from tidegate.contracts.autoscaling_annotations import Annotations
from tidegate.contracts.durations import parse_duration
from tidegate.contracts.numbers import INT32_MAX, parse_integer, parse_number
from tidegate.contracts.problems import FieldProblem


def validate_annotations(annotations: Annotations, config: AutoscalerConfig = DEFAULTS) -> list[FieldProblem]:
    """Return what is wrong with a revision's autoscaling annotations; paths are the annotation keys."""
    checks = (
        _check_class,
        _check_scales,
        _check_numbers,
        _check_durations,
        _check_metric,
        _check_algorithm,
        _check_initial_scale,
    )
    found = [problem for check in checks for problem in check(annotations, config)]
    return found + extensions.check(annotations)


def _check_class(annotations: Annotations, _config: AutoscalerConfig) -> list[FieldProblem]:
    value = annotations.get(keys.CLASS[0], "")
    if value.endswith("knative.dev") and value not in (KPA_CLASS, HPA_CLASS):
        return [problems.invalid(value, keys.CLASS[0])]
    return []


def _checked_count(annotations: Annotations, spellings: tuple[str, ...]) -> tuple[int, list[FieldProblem]]:
    found = keys.find(annotations, spellings)
    if found is None:
        return 0, []
    key, text = found
    try:
        value = parse_integer(text)
    except ValueError:
        return 0, [problems.invalid(text, key)]
    if not 0 <= value <= INT32_MAX:
        return 0, [problems.out_of_bounds(text, 0, INT32_MAX, key)]
    return value, []


def _check_scales(annotations: Annotations, config: AutoscalerConfig) -> list[FieldProblem]:
    low, found_low = _checked_count(annotations, keys.MIN_SCALE)
    high, found_high = _checked_count(annotations, keys.MAX_SCALE)
    activation, found_activation = _checked_count(annotations, keys.ACTIVATION_SCALE)
    found = found_low + found_high + found_activation
    low_key, high_key = _key(annotations, keys.MIN_SCALE), _key(annotations, keys.MAX_SCALE)
    if not found_high and keys.find(annotations, keys.MAX_SCALE):
        found += _check_limit(high, high_key, config.max_scale_limit)
    elif not found_high:
        high = config.max_scale
    if 0 < high < low:
        found.append(FieldProblem(f"max-scale={high} is less than min-scale={low}", (high_key, low_key)))
    if not found_activation and keys.find(annotations, keys.ACTIVATION_SCALE):
        found += _check_activation(activation, low, high, (low_key, high_key))
    return found


def _check_activation(activation: int, low: int, high: int, scale_keys: tuple[str, str]) -> list[FieldProblem]:
    key = keys.ACTIVATION_SCALE[0]
    found = []
    if activation < 2:
        found.append(FieldProblem(f"activation-scale={activation} must be greater than 1", (key,)))
    if low > activation:
        found.append(
            FieldProblem(f"min-scale={low} is greater than activation-scale={activation}", (scale_keys[0], key))
        )
    if 0 < high < activation:
        found.append(FieldProblem(f"max-scale={high} is less than activation-scale={activation}", (scale_keys[1], key)))
    return found


def _check_limit(high: int, key: str, limit: int) -> list[FieldProblem]:
    if limit and high > limit:
        return [problems.out_of_bounds(high, 1, limit, key)]
    if limit and high == 0:
        return [FieldProblem(f"max-scale=0 (unlimited), must be less than {limit}", (key,))]
    return []


def _check_numbers(annotations: Annotations, _config: AutoscalerConfig) -> list[FieldProblem]:
    found = []
    for spellings, low, high in (
        (keys.PANIC_WINDOW_PERCENTAGE, 1, 100),
        (keys.PANIC_THRESHOLD_PERCENTAGE, 110, 1000),
        (keys.TARGET, TARGET_MIN, None),
        (keys.TARGET_UTILIZATION, 1, 100),
        (keys.TARGET_BURST_CAPACITY, None, None),
    ):
        pair = keys.find(annotations, spellings)
        problem = _check_number(pair[1], pair[0], low, high) if pair else None
        if problem:
            found.append(problem)
    return found


def _check_number(text: str, key: str, low: float | None, high: float | None) -> FieldProblem | None:
    try:
        value = parse_number(text)
    except ValueError:
        return problems.invalid(text, key)
    if low is None:
        return None if value >= 0 or value == -1 else problems.invalid(text, key)
    if high is None:
        return None if value >= low else FieldProblem(f"target {text} should be at least {low}", (key,))
    return None if low <= value <= high else problems.out_of_bounds(text, low, high, key)


def _check_durations(annotations: Annotations, _config: AutoscalerConfig) -> list[FieldProblem]:
    found = []
    for spellings, low_s, low_text, is_whole in (
        (keys.WINDOW, WINDOW_MIN_S, "6s", True),
        (keys.POD_RETENTION, 0.0, "0s", False),
        (keys.SCALE_DOWN_DELAY, 0.0, "0s", True),
    ):
        pair = keys.find(annotations, spellings)
        if pair is None:
            continue
        key, text = pair
        try:
            value_s = parse_duration(text)
        except ValueError:
            found.append(problems.invalid(text, key))
            continue
        if not low_s <= value_s <= WINDOW_MAX_S:
            found.append(problems.out_of_bounds(text, low_text, "1h0m0s", key))
        elif is_whole and not value_s.is_integer():
            found.append(FieldProblem("must be specified with at most second precision", (key,)))
    return found


def _check_metric(annotations: Annotations, config: AutoscalerConfig) -> list[FieldProblem]:
    key = keys.METRIC[0]
    owner = keys.class_of(annotations, config)
    if key not in annotations or owner not in (KPA_CLASS, HPA_CLASS):
        return []
    value = annotations[key]
    is_good = value in (keys.CONCURRENCY, keys.RPS) if owner == KPA_CLASS else bool(value)
    return [] if is_good else [problems.invalid(value, key)]


def _check_algorithm(annotations: Annotations, _config: AutoscalerConfig) -> list[FieldProblem]:
    pair = keys.find(annotations, keys.AGGREGATION_ALGORITHM)
    # Knative checks this one only where the annotation itself says KPA.
    if pair is None or annotations.get(keys.CLASS[0]) != KPA_CLASS or pair[1] in keys.ALGORITHMS:
        return []
    return [problems.invalid(pair[1], pair[0])]


def _check_initial_scale(annotations: Annotations, config: AutoscalerConfig) -> list[FieldProblem]:
    pair = keys.find(annotations, keys.INITIAL_SCALE)
    if pair is None:
        return []
    key, text = pair
    try:
        value = parse_integer(text)
    except ValueError:
        return [problems.invalid(text, key)]
    if value < 0:
        return [problems.invalid(text, f"{key} must be greater than 0")]
    if value == 0 and not config.allow_zero_initial_scale:
        return [problems.invalid(text, f"{key}=0 not allowed by cluster")]
    return [] if value <= INT32_MAX else [problems.invalid(text, key)]


def _key(annotations: Annotations, spellings: tuple[str, ...]) -> str:
    found = keys.find(annotations, spellings)
    return found[0] if found else spellings[0]
