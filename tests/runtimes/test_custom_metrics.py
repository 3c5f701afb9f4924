"""What a model's own code counts comes to /metrics and into Seldon's meta; what cannot be taken is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtimes.adapters.seldon import SeldonStyle
from runtimes.custom_metrics import SERIES_LIMIT, CustomMetrics
from tests.support.model_servers import client_of, serving


class Counting:
    """A class as Seldon's wrapper takes them."""

    def predict(self, features: Any, names: Any) -> Any:
        return features

    def metrics(self) -> list[dict[str, Any]]:
        return [
            {"type": "COUNTER", "key": "clicks", "value": 2, "tags": {"page": 'a"b'}},
            {"type": "GAUGE", "key": "fill", "value": 0.5},
            {"type": "TIMER", "key": "lookup", "value": 20.5},
        ]


async def test_counters_gauges_and_timers_of_a_class_are_metrics_and_in_the_answer() -> None:
    async with serving(SeldonStyle(Counting()), model_name="m") as frame, client_of(frame) as http:
        for _ in range(3):
            _, answer = await http.post("/api/v1.0/predictions", {"data": {"ndarray": [[1.0]]}})
        _, page = await http.get("/metrics")
    assert [each["key"] for each in answer["meta"]["metrics"]] == ["clicks", "fill", "lookup"]
    lines = page.decode().splitlines()
    assert 'model_custom_clicks_total{model="m",version="1",page="a\\"b"} 6' in lines
    assert 'model_custom_fill{model="m",version="1"} 0.5' in lines
    assert 'model_custom_lookup_seconds_sum{model="m",version="1"} 0.0615' in lines
    assert 'model_custom_lookup_seconds_count{model="m",version="1"} 3' in lines
    assert lines.count("# TYPE model_custom_clicks_total counter") == 1


async def test_metrics_that_fail_do_not_fail_the_prediction() -> None:
    class Broken(Counting):
        def metrics(self) -> list[dict[str, Any]]:
            raise ZeroDivisionError

    async with serving(SeldonStyle(Broken()), model_name="m") as frame, client_of(frame) as http:
        assert (await http.post("/v1/models/m:predict", {"instances": [[1]]}))[0] == 200
        _, page = await http.get("/metrics")
    assert b'model_custom_metrics_dropped_total{model="m",version="1"} 1' in page


@pytest.mark.parametrize(
    "entry",
    [
        "no object",
        {"key": "bad name", "value": 1},
        {"key": "a", "value": "1"},
        {"key": "a", "value": float("nan")},
        {"key": "a", "value": -1, "type": "COUNTER"},
        {"key": "a", "value": 1, "type": "HISTOGRAM"},
        {"key": "a", "value": 1, "tags": {"model": "other"}},
        {"key": "a", "value": 1, "tags": []},
    ],
)
def test_entries_that_cannot_be_taken_are_counted(entry: Any) -> None:
    kept = CustomMetrics()
    used = kept.take([entry])
    assert (used, kept.dropped) == (
        ([], 1) if entry != {"key": "a", "value": 1, "tags": []} else ([{"type": "COUNTER", "key": "a", "value": 1}], 0)
    )


def test_a_key_keeps_its_type_and_the_number_of_series_is_bounded() -> None:
    kept = CustomMetrics()
    kept.take([{"type": "GAUGE", "key": "a_total", "value": 1}, {"type": "COUNTER", "key": "a", "value": 1}])
    assert kept.dropped == 1, "both would be called a_total"
    kept.take([{"key": "many", "value": 1, "tags": {"user": str(number)}} for number in range(SERIES_LIMIT)])
    assert kept.dropped == 2
    assert kept.take(None) == []


def page_of(made: CustomMetrics) -> bytes:
    return "\n".join(line for _, _, line in made.lines('model="m"')).encode()


HOSTILE: list[Any] = [
    {"key": "a", "value": 10**400}, {"key": "a", "value": float("nan")}, {"key": "a", "value": True},
    {"key": "metrics_dropped", "value": 1}, {"key": "a", "tags": {"le": "1"}}, {"key": "a", "tags": 5},
    {"type": ["GAUGE"], "key": "a"}, {"key": "a", "value": object()},
    {"key": "a", "tags": {"x": type("", (), {"__str__": 5})()}},
]  # fmt: skip


@pytest.mark.parametrize("entry", HOSTILE, ids=range(len(HOSTILE)))
def test_an_entry_that_cannot_be_is_dropped_and_harms_nothing(entry: Any) -> None:
    made = CustomMetrics()
    assert made.take([entry]) == [] and made.dropped == 1 and page_of(made) == b""


def test_what_is_taken_is_plain_and_printable() -> None:
    made = CustomMetrics()
    said = {"key": "a", "value": np.int64(3), "tags": {"x": "\ud800", "y": 7}, "more": object()}
    assert made.take([said]) == [{"type": "COUNTER", "key": "a", "value": 3, "tags": {"x": "?", "y": "7"}}]
    assert made.take([{"type": "GAUGE", "key": "b", "value": np.float32(0.5)}])[0]["value"] == 0.5
    assert page_of(made) == b'model_custom_a_total{model="m",x="?",y="7"} 3\nmodel_custom_b{model="m"} 0.5'


def test_two_metrics_never_have_one_name() -> None:
    made = CustomMetrics()
    kept = [{"type": "TIMER", "key": "a", "value": 1}]
    lost = [{"type": "GAUGE", "key": f"a_seconds{end}", "value": 1} for end in ("", "_sum", "_count")]
    assert len(made.take([*kept, *lost])) == 1 and made.dropped == 3


async def test_two_models_with_one_name_of_two_kinds_leave_a_page_that_can_be_read(tmp_path: Path) -> None:
    for name, kind, key in (("one", "COUNTER", "x"), ("two", "GAUGE", "x_total")):
        (tmp_path / name).mkdir()
        said = f"return [{{'type': '{kind}', 'key': '{key}', 'value': 1}}]"
        code = "class Model:\n    def predict(self, inputs):\n        return inputs\n    def metrics(self):\n"
        (tmp_path / name / "model.py").write_text(f"{code}        {said}\n")
    async with serving(model_repository=str(tmp_path), allow_code=True) as frame, client_of(frame) as http:
        for name in ("one", "two"):
            assert (await http.post(f"/v1/models/{name}:predict", {"inputs": {"x": [1]}}))[0] == 200
        _, page = await http.get("/metrics")
    assert page.count(b"# TYPE model_custom_x_total ") == 1 and page.count(b"\nmodel_custom_x_total{") == 1
