"""Which revisions are deleted."""

import pytest

from controller.reconcile import gc
from tidegate.contracts import conditions
from tidegate.contracts.config.retention import Retention

NOW = 1_000_000_000.0
HOUR = 3600.0


def revision(number, *, created_h=100, active_h=None, state="reserve", **annotations):
    active = created_h if active_h is None else active_h
    annotations = {key.replace("_", "-"): value for key, value in annotations.items()}
    return {
        "metadata": {
            "name": f"r-{number}",
            "creationTimestamp": conditions.timestamp(NOW - created_h * HOUR),
            "labels": {"serving.knative.dev/routingState": state},
            "annotations": {
                "serving.knative.dev/routingStateModified": conditions.timestamp(NOW - active * HOUR),
                **{f"serving.knative.dev/{key}": value for key, value in annotations.items()},
            },
        }
    }


def gone(revisions, latest="", **retention):
    configuration = {"status": {"latestReadyRevisionName": latest}}
    found = gc.surplus(configuration, revisions, Retention(**retention), NOW)
    return [each["metadata"]["name"] for each in found]


OLD = [revision(number, created_h=200 - number) for number in range(5)]


def test_the_stock_minimum_keeps_a_handful():
    assert gone(OLD) == []


def test_the_oldest_go_down_to_the_minimum():
    assert gone(OLD, min_non_active=3) == ["r-0", "r-1"]


def test_the_latest_ready_one_stays():
    assert gone(OLD, latest="r-0", min_non_active=0) == ["r-1", "r-2", "r-3", "r-4"]


@pytest.mark.parametrize(
    "kept",
    [
        revision(0, state="active"),
        revision(0, state="pending"),
        revision(0, state=""),
        revision(0, no_gc="True"),
        revision(0, created_h=10),
        revision(0, created_h=100, active_h=1),
    ],
)
def test_who_is_spared(kept):
    assert gone([kept], min_non_active=0) == []


def test_a_period_may_be_disabled():
    young = [revision(0, created_h=20)]
    assert gone(young, min_non_active=0, since_create_s=None) == ["r-0"]
    assert gone(young, min_non_active=0, since_create_s=None, since_last_active_s=None) == []


def test_the_maximum_counts_whatever_the_age():
    young = [revision(number, created_h=5 - number) for number in range(5)]
    assert gone(young, min_non_active=0, max_non_active=2) == ["r-0", "r-1", "r-2"]


def test_everything_disabled_deletes_nothing():
    off = {"since_create_s": None, "since_last_active_s": None, "max_non_active": None}
    assert gone(OLD, min_non_active=0, **off) == []


def test_disabled_periods_with_a_maximum_of_zero_delete_what_was_replaced():
    off = {"since_create_s": None, "since_last_active_s": None}
    assert gone(
        [revision(0, created_h=0), revision(1, created_h=0)], "r-1", min_non_active=0, max_non_active=0, **off
    ) == ["r-0"]
