"""Tidegate's own autoscaling annotations and settings: what holds, what is refused, what it comes to."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tidegate.contracts import autoscaling, problems
from tidegate.contracts.autoscaling import (
    AutoscalerConfig,
    ConfigError,
    parse_config,
    resolve_spec,
    validate_annotations,
)

PREFIX = "tidegate.dev/"
HOURS = json.dumps([{"start": "0 8 * * *", "end": "0 18 * * *", "min-scale": 3, "max-scale": 9}])


def said(annotations):
    prefixed = {PREFIX + key: value for key, value in annotations.items()}
    return problems.render(validate_annotations(prefixed)).replace(PREFIX, "")


def spec_of(annotations=None, concurrency=0, config=None, **more):
    prefixed = {PREFIX + key if "/" not in key else key: value for key, value in (annotations or {}).items()}
    return resolve_spec(prefixed, concurrency, parse_config(config), **more)


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        (
            {"metrics": "concurrency=10,rps=100", "panic": "knative", "last-pod-delay": "10m", "prewarm": "histogram"},
            "",
        ),
        ({"metrics": "rps"}, ""),
        ({"schedule": HOURS}, ""),
        ({"metrics": "cpu"}, "invalid value: cpu: metrics\n'cpu' is neither concurrency nor rps"),
        ({"metrics": ""}, "invalid value: : metrics\n'' is neither concurrency nor rps"),
        ({"metrics": "rps,rps=2"}, "invalid value: rps,rps=2: metrics\nrps comes twice"),
        ({"metrics": "rps=0"}, "invalid value: rps=0: metrics\ntarget 0 should be at least 0.01"),
        ({"metrics": "rps=many"}, "invalid value: rps=many: metrics\ninvalid number 'many'"),
        ({"panic": "never"}, "invalid value: never: panic"),
        ({"prewarm": "yes"}, "invalid value: yes: prewarm"),
        (
            {"standby-pods": "-1"},
            "invalid value: -1: standby-pods\nexpected a whole number, 0 <= -1 <= 1000",
        ),
        ({"last-pod-delay": "25h"}, "invalid value: 25h: last-pod-delay\nexpected 0s <= 25h <= 24h0m0s"),
        (
            {"last-pod-delay": "1.5s"},
            "invalid value: 1.5s: last-pod-delay\nmust be specified with at most second precision",
        ),
        (
            {"last-pod-delay": "long"},
            "invalid value: long: last-pod-delay\ninvalid duration 'long': write it like 30s, 1m30s or 500ms",
        ),
    ],
)
def test_validation(annotations, expected):
    assert said(annotations) == expected


def test_a_bad_schedule_is_refused_with_its_entry():
    assert "entry 0: start: minute '99' is not within 0-59" in said({"schedule": HOURS.replace("0 8", "99 8")})


def test_left_out_they_are_knatives_with_paced_panic():
    spec = spec_of()
    assert (spec.other_metric, spec.last_pod_delay_s, spec.is_prewarmed, spec.is_panic_paced) == ("", -1.0, False, True)


def test_several_metrics_have_targets_and_utilization_each():
    spec = spec_of({"metrics": "rps=50,concurrency", "autoscaling.knative.dev/target": "3"}, concurrency=8)
    assert (spec.metric, spec.total, spec.target) == ("rps", 50.0, 35.0)
    assert (spec.other_metric, spec.other_total, spec.other_target) == ("concurrency", 8.0, 0.7 * 8)
    spec = spec_of({"metrics": "rps=50,concurrency=4", "autoscaling.knative.dev/target-utilization-percentage": "100"})
    assert (spec.target, spec.other_target) == (50.0, 4.0)


def test_one_metric_named_here_is_that_one():
    spec = spec_of({"metrics": "rps=10", "autoscaling.knative.dev/metric": "concurrency"})
    assert (spec.metric, spec.total, spec.other_metric) == ("rps", 10.0, "")


@pytest.mark.parametrize("key", ["metrics", "panic", "last-pod-delay", "schedule", "prewarm", "standby-pods"])
def test_what_does_not_hold_is_ignored_behind_the_door(key):
    assert spec_of({key: "nonsense"}, unix_s=0.0) == spec_of()


@pytest.mark.parametrize(
    ("hour", "expected"), [(7, (1, 2, False, False)), (8, (3, 9, True, True)), (18, (1, 2, False, False))]
)
def test_a_schedule_replaces_the_bounds_while_it_is_in_force(hour, expected):
    annotations = {
        "schedule": HOURS,
        "autoscaling.knative.dev/min-scale": "1",
        "autoscaling.knative.dev/max-scale": "2",
    }
    spec = spec_of(annotations, unix_s=datetime(2026, 11, 20, hour, tzinfo=UTC).timestamp())
    assert (spec.min_scale, spec.max_scale, spec.is_min_scheduled, spec.is_max_scheduled) == expected


def test_the_next_change_of_a_schedule():
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
    assert autoscaling.schedule_changes_at({PREFIX + "schedule": HOURS}, noon) == noon + 6 * 3600
    assert autoscaling.schedule_changes_at({}, noon) == float("inf")


@pytest.mark.parametrize(
    ("data", "field", "expected"),
    [
        ({"tidegate-panic": "knative"}, "is_panic_paced", False),
        ({"tidegate-last-pod-delay": "2m"}, "last_pod_delay_s", 120.0),
        ({"tidegate-prewarm": "histogram"}, "is_prewarmed", True),
    ],
)
def test_settings_for_all_revisions(data, field, expected):
    assert getattr(spec_of(config=data), field) == expected


def test_an_annotation_overrides_the_setting():
    assert spec_of({"panic": "paced"}, config={"tidegate-panic": "knative"}).is_panic_paced
    assert spec_of({"last-pod-delay": "0s"}, config={"tidegate-last-pod-delay": "2m"}).last_pod_delay_s == 0.0


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"tidegate-panic": "no"}, "tidegate-panic must be one of paced, knative"),
        ({"tidegate-prewarm": "no"}, "tidegate-prewarm must be one of off, histogram"),
        ({"tidegate-last-pod-delay": "-5s"}, "tidegate-last-pod-delay must lie between 0s and 24h0m0s"),
        (
            {"tidegate-last-pod-delay": "0.5s"},
            "tidegate-last-pod-delay must be specified with at most second precision",
        ),
    ],
)
def test_bad_settings_are_refused(data, complaint):
    with pytest.raises(ConfigError, match=complaint):
        parse_config(data)


def test_the_defaults_are_good():
    assert parse_config({}) == AutoscalerConfig()
