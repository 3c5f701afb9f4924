"""The command line of the simulator and of traces: results on standard output, complaints that a person can act on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from loadtest.simulate import ledger, report, run
from loadtest.simulate.command import simulate
from loadtest.traces.command import traces as traces_command
from tests.support import traces

SHORT = ["--trace", "poisson:rate=2,for=30s"]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(simulate, list(arguments))


def test_a_table_for_a_person() -> None:
    result = invoke(*SHORT)
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines()[-4:]] == ["keep-alive", "knative", "ours", "oracle"]


def test_one_json_object_for_a_program(tmp_path: Path) -> None:
    result = invoke(
        *SHORT, "--policy", "ours", "--policy", "fixed=2", "--json", "--save", str(tmp_path / "a" / "r.json")
    )
    document = json.loads(result.stdout)
    assert [entry["policy"] for entry in document["rounds"]] == ["ours", "fixed=2"]
    assert {"commit", "machine", "rounds", "bars", "notes"} <= document.keys()
    assert document["notes"]["trace"] == "poisson:rate=2,for=30s"
    assert json.loads((tmp_path / "a" / "r.json").read_text()) == document
    entry = document["rounds"][0]
    assert entry["requests"] == entry["answered"] > 0
    assert {"p50", "p95", "p99", "mean", "worst"} == entry["wait_s"].keys() == entry["latency_s"].keys()


def test_a_picture_is_written(tmp_path: Path) -> None:
    result = invoke(*SHORT, "--plot", str(tmp_path / "a.svg"))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.svg").read_text().startswith("<svg")


def test_functions_and_times_are_chosen() -> None:
    path = str(traces.EXCERPTS / traces.FUNCTIONS_2019)
    whole = json.loads(invoke("--trace", path, "--policy", "fixed=1", "--json").stdout)["rounds"][0]
    chosen = ("--function", "68baea05aa0c", "--from", "1h", "--until", "2h", "--merge")
    part = json.loads(invoke("--trace", path, "--policy", "fixed=1", "--json", *chosen).stdout)["rounds"][0]
    assert whole["requests"] == 4525
    assert 0 < part["requests"] < whole["requests"]
    assert (part["pod_s"], part["end_s"]) == (3600, 3600)
    assert whole["pod_s"] > 2.5 * 86400  # each function has a pod of its own from its first call on


def test_a_price_per_pod_hour() -> None:
    result = invoke(*SHORT, "--policy", "fixed=4", "--pod-hour", "3", "--until", "20s", "--json", "--price", "gpu")
    entry = json.loads(result.stdout)["rounds"][0]
    assert entry["cost"] == pytest.approx(3 * entry["pod_s"] / 3600, abs=1e-6)


def test_a_sweep(tmp_path: Path) -> None:
    result = invoke(*SHORT, "--sweep", "target=1,10", "--plot", str(tmp_path / "s.svg"), "--wait-limit", "10s")
    assert result.exit_code == 0, result.output
    assert "the cheapest with a p99 wait of at most 10 s: target=" in result.output
    assert (tmp_path / "s.svg").exists()


def test_the_report_has_both_hours_and_says_how_long_they_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_TRACES", str(traces.EXCERPTS))
    result = invoke("--report", "--report-to", str(tmp_path), "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [(entry["trace"], entry["policy"]) for entry in document["rounds"]] == [
        (kind, policy) for kind in report.TRACES for policy in ("keep-alive", "knative", "ours", "oracle")
    ]
    limits = {(bar["name"], bar["limit"]) for bar in document["bars"]}
    assert limits == {("simulated_hour_code", 60.0), ("simulated_hour_conv", 60.0)}
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".svg", ".svg"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "name a trace"),
        (["--trace", "nowhere.csv"], "no such file"),
        ([*SHORT, "--policy", "best"], "not a policy"),
        ([*SHORT, "--start", "soon"], "write a duration like 20s"),
        ([*SHORT, "--app", "nowhere.yaml"], "cannot be read"),
        ([*SHORT, "--price", "nowhere"], "not a table of prices"),
        ([*SHORT, "--plot", "a.pdf"], "written as .svg or .png"),
        ([*SHORT, "--sweep", "target=-1"], "autoscaling.knative.dev/target"),
        ([*SHORT, "--from", "soon"], "invalid duration"),
        ([*SHORT, "--began", "soon"], "write a time like 2026-01-05"),
    ],
)
def test_a_complaint_is_one_line_and_not_a_traceback(arguments: list[str], problem: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code in (1, 2)
    assert problem in result.output
    assert "Traceback" not in result.output


# Traces


def test_traces_are_listed_with_their_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_TRACES", str(traces.EXCERPTS))
    result = CliRunner().invoke(traces_command, ["list", "--json"])
    document = json.loads(result.stdout)
    formats = {entry["name"]: entry["format"] for entry in document["files"]}
    assert formats[traces.LLM_CODE] == "azure-llm"
    assert formats[traces.FUNCTIONS_2019] == "azure-functions-2019"
    assert formats["azure_functions_2019_sample_durations.csv"] == "durations"
    assert set(document["synthetic"]) == {"poisson", "mmpp", "diurnal", "flash"}
    assert "poisson:rate=10" in CliRunner().invoke(traces_command, ["list"]).stdout


def test_a_trace_is_described() -> None:
    arguments = ["describe", "poisson:rate=5,for=400s", "--service", "2s", "--json"]
    document = json.loads(CliRunner().invoke(traces_command, arguments).stdout)
    assert document["requests"] == pytest.approx(2000, abs=250)
    assert document["burstiness"] == pytest.approx(1.0, abs=0.1)
    assert document["mean_in_flight"] == pytest.approx(10, abs=1.5)
    assert document["service_p99_s"] == 2
    text = CliRunner().invoke(traces_command, ["describe", "poisson:rate=5", "--until", "10s"]).stdout
    assert "in 10 s" in text


def test_a_trace_that_cannot_be_described_is_told() -> None:
    result = CliRunner().invoke(traces_command, ["describe", "nowhere.csv"])
    assert result.exit_code == 1
    assert "no such file" in result.output


def test_tuning_recommends_annotations() -> None:
    result = invoke("--trace", "poisson:rate=1,for=20s", "--tune", "--wait-limit", "10s")
    assert result.exit_code == 0, result.output
    assert "as it is" in result.output
    assert "the cheapest with a p99 wait of at most 10 s" in result.output


SCHEDULED = """
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: web}
spec:
  template:
    metadata:
      annotations:
        tidegate.dev/schedule: '[{"start": "0 9 * * *", "end": "0 10 * * *", "min-scale": 4}]'
    spec: {containers: [{image: x}]}
"""


@pytest.mark.parametrize(("began", "peak"), [("2026-01-05T08:59:30", 4), ("2026-01-05T11:00:00+00:00", 1)])
def test_a_schedule_needs_to_know_when_the_trace_began(tmp_path: Path, began: str, peak: int) -> None:
    (tmp_path / "app.yaml").write_text(SCHEDULED)
    result = invoke(
        *("--trace", "poisson:rate=1,for=60s", "--app", str(tmp_path / "app.yaml")),
        *("--policy", "ours", "--began", began, "--json"),
    )
    assert json.loads(result.stdout)["rounds"][0]["peak_pods"] == peak


def test_what_is_too_much_for_memory_is_told_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "REQUESTS_MAX", 10)
    result = invoke("--trace", "poisson:rate=10,for=60s", "--policy", "fixed=1")
    assert (result.exit_code, "more than 10 requests" in result.output) == (1, True)
    monkeypatch.undo()
    monkeypatch.setattr(run, "REVISIONS_MAX", 2)
    result = invoke("--trace", str(traces.EXCERPTS / traces.FUNCTIONS_2019), "--policy", "fixed=1")
    assert (result.exit_code, "more than 2 functions" in result.output) == (1, True)
