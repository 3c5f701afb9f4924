"""Traces: every format read in order of time, and every malformed line named by file, line and field."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.distributions import Distribution
from loadtest.traces import arrivals, azure_2019, opening
from loadtest.traces.arrivals import Arrival, Trace, TraceError
from loadtest.traces.azure_llm import TokenRates
from loadtest.traces.opening import Reading, open_trace
from tests.support import traces

LLM_HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
HEAD_2021 = "app,func,end_timestamp,duration\n"
KEY_2019 = "HashOwner,HashApp,HashFunction"
MINUTES = ",".join(str(minute) for minute in range(1, 1441))
HEAD_2019 = f"{KEY_2019},Trigger,{MINUTES}\n"
PERCENTILES = "percentile_Average_0,percentile_Average_1,percentile_Average_25,percentile_Average_50"
HEAD_DURATIONS = f"{KEY_2019},{PERCENTILES},percentile_Average_75,percentile_Average_99,percentile_Average_100\n"
LOG = '127.0.0.1 - frank [10/Oct/2000:13:55:{second:02d} -0700] "GET /a HTTP/1.0" 200 2326'


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.mark.parametrize(
    ("name", "kind", "least"),
    [
        (traces.LLM_CODE, "azure-llm", 399),
        (traces.LLM_CONV, "azure-llm", 399),
        (traces.FUNCTIONS_2019, "azure-functions-2019", 4525),
        (traces.FUNCTIONS_2021, "azure-functions-2021", 99),
    ],
)
@pytest.mark.parametrize("where", ["excerpt", "whole"])
def test_real_traces_are_read_in_order(name: str, kind: str, least: int, where: str) -> None:
    path = traces.EXCERPTS / name if where == "excerpt" else traces.whole_or_excerpt(name)
    trace = open_trace(str(path), Reading())
    found = list(trace)
    assert trace.format == kind
    assert len(found) >= least
    assert found == sorted(found, key=lambda arrival: arrival.at_s)
    assert found[0].at_s >= 0
    assert all(arrival.service_s >= 0 for arrival in found)
    assert list(trace) == found, "a trace can be read again"


def test_service_time_of_tokens_is_by_the_stated_rates(tmp_path: Path) -> None:
    path = written(tmp_path, "llm.csv", LLM_HEAD + "2023-11-16 18:17:03.5,800,10\n2023-11-16 18:17:05.0000000,0,40\n")
    how = Reading(rates=TokenRates(prefill_per_s=400, decode_per_s=20))
    assert list(open_trace(path, how)) == [Arrival(0.0, 2.5), Arrival(1.5, 2.0)]


def test_a_time_zone_and_a_missing_last_newline_are_fine(tmp_path: Path) -> None:
    path = written(
        tmp_path, "llm.csv", LLM_HEAD + "2024-05-10 00:00:00.5+00:00,8000,0\n\n2024-05-10 00:00:01.5+00:00,0,0"
    )
    assert list(open_trace(path, Reading())) == [Arrival(0.0, 1.0), Arrival(1.0, 0.0)]


def test_invocations_of_2021_are_told_by_their_end_and_yielded_by_their_begin(tmp_path: Path) -> None:
    text = HEAD_2021 + "a,f,1.0,0.5\nb,g,3.0,3.0\nc,h,3.5,0.25\n"
    found = list(open_trace(written(tmp_path, "f.csv", text), Reading()))
    assert found == [Arrival(0.0, 3.0, "b/g"), Arrival(0.5, 0.5, "a/f"), Arrival(3.25, 0.25, "c/h")]


def invocations(folder: Path, counts: dict[int, int], *, durations: str = "100,100,100,100,200,200,200") -> str:
    minutes = ",".join(str(counts.get(minute, 0)) for minute in range(1440))
    written(folder, "day_durations.csv", HEAD_DURATIONS + f"o,a,f,{durations}\n")
    return written(folder, "day_invocations.csv", HEAD_2019 + f"o,a,f,http,{minutes}\n")


def test_invocations_of_2019_fall_into_their_minutes(tmp_path: Path) -> None:
    trace = open_trace(invocations(tmp_path, {0: 3, 7: 2, 1439: 1}), Reading())
    found = list(trace)
    assert [int(arrival.at_s // 60) for arrival in found] == [0, 0, 0, 7, 7, 1439]
    assert all(0.1 <= arrival.service_s <= 0.2 for arrival in found)
    assert trace.duration_s == 86400


def test_the_seed_decides_and_nothing_else(tmp_path: Path) -> None:
    path = invocations(tmp_path, {5: 50})
    same = [list(open_trace(path, Reading(seed=7))) for _ in range(2)]
    assert same[0] == same[1] != list(open_trace(path, Reading(seed=8)))


def test_only_the_functions_called_most_are_kept(tmp_path: Path) -> None:
    rows = [f"o,a,f{number},http,{number}" + ",0" * 1439 for number in range(5)]
    written(tmp_path, "d_durations.csv", HEAD_DURATIONS + "".join(f"o,a,f{n},1,1,1,1,1,1,1\n" for n in range(5)))
    path = written(tmp_path, "d_invocations.csv", HEAD_2019 + "\n".join(rows) + "\n")
    found = list(azure_2019.trace(Path(path), 1, functions_max=2))
    assert {arrival.function for arrival in found} == {"a/f3", "a/f4"}
    assert len(found) == 7


def test_functions_without_durations_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [f"o,a,f{number},http,{number + 1}" + ",0" * 1439 for number in range(3)]
    written(tmp_path, "d_durations.csv", HEAD_DURATIONS + "o,a,f1,1,1,1,1,1,1,1\n")
    trace = open_trace(written(tmp_path, "d_invocations.csv", HEAD_2019 + "\n".join(rows) + "\n"), Reading())
    assert [arrival.function for arrival in trace] == ["a/f1", "a/f1"]
    assert "1 functions, 2 less called or without durations left out" in trace.notes[0]


@pytest.mark.parametrize(
    ("tail", "service_s"),
    [
        ("", 0.25),
        (' "-" "curl/8"', 0.25),
        (' "-" "curl/8" 0.125', 0.125),
        (' "-" "a \\"quoted\\" agent" 1500', 0.0015),
        (" 2000000", 2.0),
        (' "-" "curl/8" "0.5"', 0.5),
    ],
)
def test_access_logs_common_and_combined(tmp_path: Path, tail: str, service_s: float) -> None:
    lines = [LOG.format(second=second) + tail for second in (36, 36, 38)]
    path = written(tmp_path, "access.log", "\n".join(lines) + "\n")
    found = list(open_trace(path, Reading(service=Distribution("const", 0.25))))
    assert sorted(int(arrival.at_s) for arrival in found) == [0, 0, 2]
    assert {arrival.service_s for arrival in found} == {service_s}


def test_access_log_lines_may_stand_somewhat_out_of_order(tmp_path: Path) -> None:
    lines = [LOG.format(second=second) for second in (40, 38, 41, 39)]
    found = list(open_trace(written(tmp_path, "access.log", "\n".join(lines)), Reading()))
    assert [int(arrival.at_s) for arrival in found] == [0, 1, 2, 3]


def test_compressed_files_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "llm.csv.gz"
    path.write_bytes(gzip.compress((LLM_HEAD + "2023-11-16 18:17:03,0,40\n").encode()))
    assert list(open_trace(str(path), Reading())) == [Arrival(0.0, 1.0)]


GOOD_TIME = "2023-11-16 18:17:03"
MALFORMED = [
    ("llm.csv", LLM_HEAD + f"{GOOD_TIME},10,10\n{GOOD_TIME},ten,10\n", 3, "ContextTokens", "'ten' is not a number"),
    ("llm.csv", LLM_HEAD + f"{GOOD_TIME},10,-1\n", 2, "GeneratedTokens", "-1 is not between 0 and"),
    ("llm.csv", LLM_HEAD + f"{GOOD_TIME},10,nan\n", 2, "GeneratedTokens", "nan is not between"),
    ("llm.csv", LLM_HEAD + f"{GOOD_TIME},10\n", 2, "GeneratedTokens", "only 2 of 3 fields"),
    ("llm.csv", LLM_HEAD + "yesterday,10,10\n", 2, "TIMESTAMP", "'yesterday' is not a time"),
    ("llm.csv", LLM_HEAD + f"{GOOD_TIME},1,1\n2023-11-16 18:17:09,1,1\n2023-11-16 18:17:02,1,1\n", 4, "", "sort"),
    ("f.csv", HEAD_2021 + "a,f,soon,1\n", 2, "end_timestamp", "'soon' is not a number"),
    ("f.csv", HEAD_2021 + "a,f,5,1e9\n", 2, "duration", "1e9 is not between"),
    ("access.log", LOG.format(second=1) + "\ngarbage\n", 2, "", "not an access log line: 'garbage'"),
    ("access.log", LOG.format(second=1).replace("Oct", "Okt") + "\n", 1, "time", "is not a time like"),
    ("access.log", LOG.format(second=1) + " 99999999999999\n", 1, "request time", "more than a day"),
    ("other.csv", "a,b,c\n1,2,3\n", 1, "", "format is not known"),
    ("empty.csv", "", 0, "", "it is empty"),
    ("d_invocations.csv", HEAD_2019 + "o,a,f,http,many" + ",0" * 1439 + "\n", 2, "1", "'many' is not a number"),
    ("day.csv", HEAD_DURATIONS, 0, "", "these are durations"),
]


@pytest.mark.parametrize(("name", "text", "line", "field", "problem"), MALFORMED)
def test_a_complaint_names_file_line_and_field(
    tmp_path: Path, name: str, text: str, line: int, field: str, problem: str
) -> None:
    path = written(tmp_path, name, text)
    written(tmp_path, "d_durations.csv", HEAD_DURATIONS)
    with pytest.raises(TraceError) as caught:
        list(open_trace(path, Reading()))
    assert (caught.value.path, caught.value.line, caught.value.field) == (path, line, field)
    assert problem in str(caught.value)
    assert name in str(caught.value)


def test_durations_that_are_missing_or_fall(tmp_path: Path) -> None:
    path = invocations(tmp_path, {0: 1}, durations="5,4,4,4,4,4,4")
    with pytest.raises(TraceError, match="percentile_Average_1: it is below the percentile before it"):
        list(open_trace(path, Reading()))
    (tmp_path / "day_durations.csv").write_text(HEAD_DURATIONS)
    with pytest.raises(TraceError, match="none of its 1 functions has durations"):
        list(open_trace(path, Reading()))
    (tmp_path / "day_durations.csv").unlink()
    with pytest.raises(TraceError, match="--durations"):
        open_trace(path, Reading())


def test_binary_files_and_endless_lines_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="not a text file"):
        open_trace(str(tmp_path / "binary"), Reading())
    path = written(tmp_path, "endless", "x" * (1 << 20) + "\n")
    with pytest.raises(TraceError, match="longer than"):
        open_trace(path, Reading())
    (tmp_path / "false.gz").write_bytes(b"not compressed")
    with pytest.raises(TraceError, match="cannot be read"):
        open_trace(str(tmp_path / "false.gz"), Reading())


def test_a_name_that_is_no_file_is_told_what_there_is() -> None:
    with pytest.raises(TraceError, match="poisson:"):
        open_trace("nowhere.csv", Reading())


def test_a_bare_name_is_looked_for_in_the_folders_of_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "mine.csv", LLM_HEAD + f"{GOOD_TIME},1,1\n")
    monkeypatch.setenv("TIDEGATE_TRACES", str(tmp_path))
    assert opening.find("mine.csv") == tmp_path / "mine.csv"


# Putting in order, cutting, choosing


@given(st.lists(st.floats(0, 1000), max_size=60), st.floats(0, 50))
def test_a_nearly_sorted_stream_comes_out_sorted(times: list[float], slack_s: float) -> None:
    late = random.Random(1)
    found = sorted((at_s - late.random() * slack_s, at_s) for at_s in times)
    written_in = [Arrival(max(0.0, begin), 0.0) for begin, _ in sorted(found, key=lambda pair: pair[1])]
    numbered = [(arrival, line) for line, arrival in enumerate(written_in, 1)]
    assert list(arrivals.in_order(numbered, slack_s, Path("x"))) == sorted(written_in)


def plain(*times: float) -> Trace:
    return Trace("t", "test", lambda: iter([Arrival(at_s, 1.0, f"f{at_s:g}") for at_s in times]), duration_s=10.0)


def test_a_part_of_a_trace_begins_at_zero() -> None:
    part = arrivals.between(plain(1, 4, 6, 9), 4, 9)
    assert [arrival.at_s for arrival in part] == [0, 2]
    assert part.duration_s == 5
    assert arrivals.between(plain(1, 4), 4, float("inf")).duration_s == 6


def test_functions_are_chosen_by_prefix_and_merged() -> None:
    assert [arrival.function for arrival in arrivals.only(plain(1, 2, 12), ["f1"])] == ["f1", "f12"]
    assert {arrival.function for arrival in arrivals.merged(plain(1, 2))} == {""}


# Synthetic arrivals


def count(text: str, seed: int = 1) -> int:
    return sum(1 for _ in open_trace(text, Reading(seed=seed)))


@pytest.mark.parametrize(
    ("text", "mean"),
    [
        ("poisson:rate=20,for=1000s", 20_000),
        ("diurnal:low=0,high=20,period=1000s,for=1000s", 10_000),
        # Half of the time each, on average.
        ("mmpp:low=5,high=15,stay-low=1s,stay-high=1s,for=1000s", 10_000),
        ("flash:base=1,peak=101,at=100s,rise=10s,fall=20s,for=1000s", 1000 + 100 * (5 + 20)),
    ],
)
def test_synthetic_arrivals_have_the_rate_that_they_say(text: str, mean: float) -> None:
    # Five standard deviations of a Poisson count, and the spread of the modulated rate on top.
    slack = 5 * mean**0.5 * (4 if text.startswith("mmpp") else 1)
    assert abs(count(text) - mean) < slack


def test_a_flash_crowd_comes_when_it_is_told() -> None:
    times = [
        arrival.at_s for arrival in open_trace("flash:base=0,peak=100,at=50s,rise=1s,fall=10s,for=300s", Reading())
    ]
    assert min(times) >= 50
    assert sum(at_s < 80 for at_s in times) > 0.9 * len(times)


def test_synthetic_arrivals_repeat_by_seed() -> None:
    text = "mmpp:for=60s"
    assert list(open_trace(text, Reading(seed=3))) == list(open_trace(text, Reading(seed=3)))
    assert list(open_trace(text, Reading(seed=3))) != list(open_trace(text, Reading(seed=4)))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("poisson:speed=3", "'speed=3' is not one of rate=, for="),
        ("poisson:rate=fast", "rate='fast': write requests per second"),
        ("poisson:for=long", "for='long': write a duration"),
        ("poisson:rate=-1", "out of bounds"),
        ("poisson:rate=inf", "out of bounds"),
        ("poisson:for=0s", "out of bounds"),
        ("poisson:rate=1000000,for=24h", "more than 1e\\+08 arrivals"),
    ],
)
def test_a_wrong_description_says_what_is_known(text: str, problem: str) -> None:
    with pytest.raises(TraceError, match=problem):
        open_trace(text, Reading())
