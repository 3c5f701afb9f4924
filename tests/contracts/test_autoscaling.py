"""Autoscaling annotations and config-autoscaler: bounds, wordings, precedence, resolution."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contracts import autoscaling, problems
from tidegate.contracts.autoscaling import (
    AutoscalerConfig,
    ConfigError,
    parse_config,
    resolve_spec,
    validate_annotations,
)
from tidegate.contracts.autoscaling_annotations import ACTIVATION_SCALE, find
from tidegate.contracts.numbers import parse_boolean, parse_integer, parse_number

PREFIX = "autoscaling.knative.dev/"


def said(annotations, **config):
    prefixed = {PREFIX + key: value for key, value in annotations.items()}
    return problems.render(validate_annotations(prefixed, AutoscalerConfig(**config))).replace(PREFIX, "")


def spec_of(annotations=None, concurrency=0, config=None, reachability=""):
    prefixed = {PREFIX + key: value for key, value in (annotations or {}).items()}
    return resolve_spec(prefixed, concurrency, parse_config(config), reachability)


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, ""),
        ({"class": "kpa.autoscaling.knative.dev"}, ""),
        ({"class": "mine.example.com"}, ""),
        ({"class": "own.autoscaling.knative.dev"}, "invalid value: own.autoscaling.knative.dev: class"),
        ({"metric": "rps"}, ""),
        ({"metric": "cpu"}, "invalid value: cpu: metric"),
        ({"metric": "cpu", "class": "hpa.autoscaling.knative.dev"}, ""),
        ({"metric": "", "class": "hpa.autoscaling.knative.dev"}, "invalid value: : metric"),
        ({"metric": "anything", "class": "mine.example.com"}, ""),
        ({"target": "0.01"}, ""),
        ({"target": "0.009"}, "target 0.009 should be at least 0.01: target"),
        ({"target": "many"}, "invalid value: many: target"),
        ({"target": "nan"}, "invalid value: nan: target"),
        ({"target-utilization-percentage": "100"}, ""),
        ({"target-utilization-percentage": "0"}, "expected 1 <= 0 <= 100: target-utilization-percentage"),
        ({"targetUtilizationPercentage": "101"}, "expected 1 <= 101 <= 100: targetUtilizationPercentage"),
        ({"target-burst-capacity": "-1"}, ""),
        ({"target-burst-capacity": "0"}, ""),
        ({"target-burst-capacity": "-2"}, "invalid value: -2: target-burst-capacity"),
        ({"targetBurstCapacity": "lots"}, "invalid value: lots: targetBurstCapacity"),
        ({"panic-window-percentage": "0.5"}, "expected 1 <= 0.5 <= 100: panic-window-percentage"),
        ({"panic-threshold-percentage": "109"}, "expected 110 <= 109 <= 1000: panic-threshold-percentage"),
        ({"panicThresholdPercentage": "1001"}, "expected 110 <= 1001 <= 1000: panicThresholdPercentage"),
        ({"min-scale": "-1"}, "expected 0 <= -1 <= 2147483647: min-scale"),
        ({"max-scale": "2147483648"}, "expected 0 <= 2147483648 <= 2147483647: max-scale"),
        ({"minScale": "two"}, "invalid value: two: minScale"),
        ({"min-scale": "1_0"}, "invalid value: 1_0: min-scale"),
        ({"min-scale": "5", "max-scale": "3"}, "max-scale=3 is less than min-scale=5: max-scale, min-scale"),
        ({"minScale": "5", "max-scale": "3"}, "max-scale=3 is less than min-scale=5: max-scale, minScale"),
        ({"min-scale": "5", "max-scale": "0"}, ""),
        ({"activation-scale": "2"}, ""),
        ({"activation-scale": "1"}, "activation-scale=1 must be greater than 1: activation-scale"),
        (
            {"activation-scale": "2", "min-scale": "3"},
            "min-scale=3 is greater than activation-scale=2: activation-scale, min-scale",
        ),
        (
            {"activation-scale": "4", "max-scale": "3"},
            "max-scale=3 is less than activation-scale=4: activation-scale, max-scale",
        ),
        ({"initial-scale": "3"}, ""),
        ({"initial-scale": "0"}, "invalid value: 0: initial-scale=0 not allowed by cluster"),
        ({"initialScale": "-1"}, "invalid value: -1: initialScale must be greater than 0"),
        ({"initial-scale": "one"}, "invalid value: one: initial-scale"),
        ({"window": "6s"}, ""),
        ({"window": "1h"}, ""),
        ({"window": "5s"}, "expected 6s <= 5s <= 1h0m0s: window"),
        ({"window": "1h1s"}, "expected 6s <= 1h1s <= 1h0m0s: window"),
        ({"window": "6500ms"}, "must be specified with at most second precision: window"),
        ({"window": "a while"}, "invalid value: a while: window"),
        ({"scale-down-delay": "0s"}, ""),
        ({"scale-down-delay": "-1s"}, "expected 0s <= -1s <= 1h0m0s: scale-down-delay"),
        ({"scaleDownDelay": "1500ms"}, "must be specified with at most second precision: scaleDownDelay"),
        ({"scale-to-zero-pod-retention-period": "1500ms"}, ""),
        (
            {"scale-to-zero-pod-retention-period": "2h"},
            "expected 0s <= 2h <= 1h0m0s: scale-to-zero-pod-retention-period",
        ),
        ({"metric-aggregation-algorithm": "guess"}, ""),
        (
            {"metric-aggregation-algorithm": "guess", "class": "kpa.autoscaling.knative.dev"},
            "invalid value: guess: metric-aggregation-algorithm",
        ),
        ({"metricAggregationAlgorithm": "weightedExponential", "class": "kpa.autoscaling.knative.dev"}, ""),
    ],
)
def test_validation(annotations, expected):
    assert said(annotations) == expected


def test_validation_depends_on_the_configuration():
    assert said({"initial-scale": "0"}, allow_zero_initial_scale=True) == ""
    assert said({"max-scale": "11"}, max_scale=5, max_scale_limit=10) == "expected 1 <= 11 <= 10: max-scale"
    assert (
        said({"max-scale": "0"}, max_scale=5, max_scale_limit=10)
        == "max-scale=0 (unlimited), must be less than 10: max-scale"
    )
    assert said({"min-scale": "6"}, max_scale=5).startswith("max-scale=5 is less than min-scale=6")
    assert said({"metric": "cpu"}, pod_autoscaler_class="hpa.autoscaling.knative.dev") == ""


def test_the_kebab_spelling_wins():
    assert spec_of({"min-scale": "2", "minScale": "7"}).min_scale == 2
    assert find({PREFIX + "minScale": "7"}, autoscaling.keys.MIN_SCALE) == (PREFIX + "minScale", "7")
    assert find({}, ACTIVATION_SCALE) is None


def test_defaults():
    spec = spec_of()
    assert spec == autoscaling.ScalingSpec()
    assert (spec.target, spec.total, spec.panic_window_s) == (70.0, 100.0, 6.0)


@pytest.mark.parametrize(
    ("annotations", "concurrency", "target", "total"),
    [
        ({"target": "1", "target-utilization-percentage": "100"}, 0, 1.0, 1.0),
        ({"target": "5", "target-utilization-percentage": "100"}, 0, 5.0, 5.0),
        ({"target": "5"}, 0, 3.5, 5.0),
        ({}, 10, 7.0, 10.0),
        ({"target": "50"}, 10, 7.0, 10.0),
        ({"target": "5"}, 10, 3.5, 5.0),
        ({"target": "0.01", "target-utilization-percentage": "1"}, 0, 0.01, 0.01),
        ({"metric": "rps"}, 10, 140.0, 200.0),
        ({"metric": "rps", "target": "100", "target-utilization-percentage": "50"}, 0, 50.0, 100.0),
    ],
)
def test_targets(annotations, concurrency, target, total):
    spec = spec_of(annotations, concurrency)
    assert (spec.target, spec.total) == (pytest.approx(target), total)


def test_the_rps_target_ignores_the_configured_utilization():
    config = {"container-concurrency-target-percentage": "50", "requests-per-second-target-default": "100"}
    assert spec_of({"metric": "rps"}, config=config).target == pytest.approx(70.0)
    assert spec_of({}, config=config).target == 50.0


def test_every_annotation_is_resolved():
    spec = spec_of(
        {
            "target-burst-capacity": "-1",
            "min-scale": "1",
            "max-scale": "9",
            "initial-scale": "2",
            "activation-scale": "3",
            "window": "20s",
            "panic-window-percentage": "25",
            "panic-threshold-percentage": "150",
            "scale-down-delay": "1m",
            "scale-to-zero-pod-retention-period": "90s",
            "metric-aggregation-algorithm": "weightedExponential",
        },
        reachability="Unreachable",
    )
    assert spec == autoscaling.ScalingSpec(
        target_burst_capacity=-1.0,
        min_scale=1,
        max_scale=9,
        initial_scale=2,
        activation_scale=3,
        stable_window_s=20.0,
        panic_window_s=5.0,
        panic_threshold=1.5,
        scale_down_delay_s=60.0,
        retention_s=90.0,
        algorithm="weighted-exponential",
        is_reachable=False,
    )


@pytest.mark.parametrize(
    "key", ["target", "window", "min-scale", "max-scale", "initial-scale", "activation-scale", "target-burst-capacity",
            "panic-window-percentage", "panic-threshold-percentage", "scale-down-delay", "metric",
            "scale-to-zero-pod-retention-period", "metric-aggregation-algorithm", "target-utilization-percentage"]
)  # fmt: skip
@pytest.mark.parametrize("value", ["", "nonsense", "-7", "1e999", "9" * 80])
def test_bad_values_fall_back_at_run_time(key, value):
    assert spec_of({key: value}) == spec_of()


def test_a_zero_initial_scale_needs_the_flag():
    assert spec_of({"initial-scale": "0"}).initial_scale == 1
    assert spec_of({"initial-scale": "0"}, config={"allow-zero-initial-scale": "true"}).initial_scale == 0


def test_the_progress_deadline_is_an_annotation_or_the_default():
    key = "serving.knative.dev/progress-deadline"
    assert resolve_spec({key: "2m"}).progress_deadline_s == 120.0
    assert resolve_spec({key: "soon"}, progress_deadline_s=90.0).progress_deadline_s == 90.0


@pytest.mark.parametrize(
    ("stable", "share", "expected"), [("60s", "10", 6), ("6s", "10", 1), ("25s", "10", 3), ("6s", "1", 1)]
)
def test_the_panic_window_is_whole_seconds(stable, share, expected):
    assert spec_of({"window": stable, "panic-window-percentage": share}).panic_window_s == expected


def test_class_of():
    assert autoscaling.class_of({}) == autoscaling.KPA_CLASS
    assert autoscaling.class_of({PREFIX + "class": "mine"}) == "mine"


def test_config_defaults_and_unknown_keys():
    assert parse_config(None) == parse_config({"_example": "# text"}) == autoscaling.DEFAULTS


def test_config_fractions_and_percentages_mean_the_same():
    for text in ("0.7", "70", "70.0"):
        assert parse_config({"container-concurrency-target-percentage": text}).concurrency_target_fraction == 0.7
    assert parse_config({"container-concurrency-target-percentage": "1"}).concurrency_target_fraction == 1.0


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ({"stable-window": "5s"}, "stable-window"),
        ({"stable-window": "6500ms"}, "stable-window"),
        ({"stable-window": "soon"}, "stable-window"),
        ({"panic-window-percentage": "0"}, "panic-window-percentage"),
        ({"max-scale-up-rate": "1"}, "max-scale-up-rate"),
        ({"max-scale-down-rate": "0.5"}, "max-scale-down-rate"),
        ({"target-burst-capacity": "-3"}, "target-burst-capacity"),
        ({"container-concurrency-target-percentage": "0"}, "container-concurrency-target-percentage"),
        ({"container-concurrency-target-percentage": "101"}, "container-concurrency-target-percentage"),
        ({"container-concurrency-target-default": "0.001"}, "container-concurrency-target-default"),
        ({"requests-per-second-target-default": "0"}, "requests-per-second-target-default"),
        ({"scale-to-zero-grace-period": "0s"}, "scale-to-zero-grace-period"),
        ({"scale-to-zero-pod-retention-period": "-1s"}, "scale-to-zero-pod-retention-period"),
        ({"scale-down-delay": "-1s"}, "scale-down-delay"),
        ({"scale-down-delay": "1500ms"}, "scale-down-delay"),
        ({"activator-capacity": "0"}, "activator-capacity"),
        ({"initial-scale": "0"}, "initial-scale"),
        ({"initial-scale": "-1", "allow-zero-initial-scale": "true"}, "initial-scale"),
        ({"min-scale": "-1"}, "min-scale"),
        ({"max-scale": "-1"}, "max-scale"),
        ({"min-scale": "3", "max-scale": "2"}, "min-scale"),
        ({"max-scale-limit": "-1"}, "max-scale-limit"),
        ({"max-scale-limit": "5"}, "max-scale-limit"),
        ({"max-scale-limit": "5", "max-scale": "6"}, "max-scale-limit"),
        ({"enable-scale-to-zero": "yes"}, "enable-scale-to-zero"),
        ({"min-scale": "1.5"}, "min-scale"),
    ],
)
def test_config_constraints(data, part):
    with pytest.raises(ConfigError, match=part):
        parse_config(data)


def test_config_is_read_whole():
    config = parse_config(
        {"enable-scale-to-zero": "false", "scale-to-zero-grace-period": "1m", "max-scale-limit": "9", "max-scale": "5"}
    )
    assert (config.is_scale_to_zero_enabled, config.scale_to_zero_grace_period_s) == (False, 60.0)
    assert (config.max_scale, config.max_scale_limit) == (5, 9)


@given(st.dictionaries(st.sampled_from([PREFIX + "min-scale", PREFIX + "target", PREFIX + "window"]), st.text()))
def test_any_text_is_either_a_problem_or_a_value(annotations):
    validate_annotations(annotations)
    resolve_spec(annotations)


def test_numbers_are_read_as_go_reads_them():
    assert parse_integer("+5") == 5
    assert parse_number("1e3") == 1000.0
    assert parse_boolean("T") is True
    for parse, text in ((parse_integer, " 5"), (parse_number, "inf"), (parse_number, "0x1p-2"), (parse_boolean, "yes")):
        with pytest.raises(ValueError, match="invalid"):
            parse(text)
