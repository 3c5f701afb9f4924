"""Remembered specs are those that reading anew would give: under every config, and with schedules at every time."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from autoscaler import spec_memo
from autoscaler.spec_memo import SpecMemo
from tidegate.contracts.autoscaling import DEFAULTS, resolve_spec
from tidegate.contracts.autoscaling_extensions import SCHEDULE

ANNOTATIONS = st.dictionaries(
    st.sampled_from(["autoscaling.knative.dev/target", "autoscaling.knative.dev/min-scale"]),
    st.sampled_from(["1", "2", "nonsense"]),
)
CONFIGS = [DEFAULTS, replace(DEFAULTS, stable_window_s=30.0)]


@given(st.lists(st.tuples(ANNOTATIONS, st.integers(0, 2), st.sampled_from(CONFIGS)), max_size=20))
def test_it_is_what_reading_anew_gives(asked):
    memo = SpecMemo()
    for wishes, concurrency, config in asked:
        found = memo.resolve(wishes, concurrency, config, "", progress_deadline_s=600.0, unix_s=0.0)
        assert found == resolve_spec(wishes, concurrency, config, "", progress_deadline_s=600.0, unix_s=0.0)


def test_a_schedule_is_read_as_of_now():
    memo = SpecMemo()
    annotations = {SCHEDULE: "* 9-17 * * * min=3"}
    for unix_s in (8 * 3600.0, 12 * 3600.0, 20 * 3600.0):
        found = memo.resolve(annotations, 0, DEFAULTS, "", progress_deadline_s=600.0, unix_s=unix_s)
        assert found == resolve_spec(annotations, 0, DEFAULTS, "", progress_deadline_s=600.0, unix_s=unix_s)


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(spec_memo, "LIMIT", 3)
    memo = SpecMemo()
    for number in range(10):
        memo.resolve({}, number, DEFAULTS, "", progress_deadline_s=600.0, unix_s=0.0)
        assert len(memo._known) <= 3
