"""A wake cut into phases: what is known, what stays one stretch, that nothing is lost or invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contracts import report, wake
from tidegate.contracts.wake import Marks, Start, Stretch, Wake, stretches

SEEN = Marks(arrived=100.0, asked=100.001, scaled=100.010, seated=100.100, answered=100.105)
WHOLE = Start(open_s=0.004, all_s=0.070, own_s=(0.010, 0.030, 0.020, 0.010), way="forked", pod="a-1")
TOLD_AT = 100.099

# marks changed, start, when it was told -> what each stretch took, in ms
CUTS = {
    "everything known": (
        {},
        WHOLE,
        TOLD_AT,
        "held 1 decided 9 scheduled 15 process 10 imports 30 weights 20 warm-up 10 ready 5 first-byte 5",
    ),
    "an app that tells nothing of its inside": (
        {},
        Start(open_s=0.004, all_s=0.070),
        TOLD_AT,
        "held 1 decided 9 scheduled 15 process-to-warm-up 70 ready 5 first-byte 5",
    ),
    "a pod that tells only when it opened": (
        {},
        Start(open_s=0.004),
        TOLD_AT,
        "held 1 decided 9 scheduled-to-warm-up 85 ready 5 first-byte 5",
    ),
    "a pod that tells nothing": ({}, wake.NOTHING_TOLD, None, "held 1 decided 9 scheduled-to-ready 90 first-byte 5"),
    "weights and warm-up alone are told": (
        {},
        Start(open_s=0.004, own_s=(None, None, 0.020, 0.010)),
        TOLD_AT,
        "held 1 decided 9 scheduled-to-imports 55 weights 20 warm-up 10 ready 5 first-byte 5",
    ),
    "one in the middle is missing": (
        {},
        Start(open_s=0.004, all_s=0.070, own_s=(0.010, None, 0.020, 0.010)),
        TOLD_AT,
        "held 1 decided 9 scheduled 15 process 10 imports 30 weights 20 warm-up 10 ready 5 first-byte 5",
    ),
    "two in the middle are missing": (
        {},
        Start(open_s=0.004, all_s=0.070, own_s=(0.010, None, None, 0.010)),
        TOLD_AT,
        "held 1 decided 9 scheduled 15 process 10 imports-to-weights 50 warm-up 10 ready 5 first-byte 5",
    ),
    "the autoscaler did not say that it scaled": (
        {"scaled": None},
        WHOLE,
        TOLD_AT,
        "held 1 decided-to-scheduled 24 process 10 imports 30 weights 20 warm-up 10 ready 5 first-byte 5",
    ),
    "no autoscaler at all": (
        {"asked": None, "scaled": None},
        wake.NOTHING_TOLD,
        None,
        "held-to-ready 100 first-byte 5",
    ),
    "the pod was half up when the request came": (
        {"asked": None, "scaled": None},
        Start(open_s=0.004, own_s=(0.010, 0.500, 0.020, 0.010)),
        TOLD_AT,
        "held-to-scheduled 0 process 0 imports 65 weights 20 warm-up 10 ready 5 first-byte 5",
    ),
    "a pod that claims more time than there was": (
        {},
        Start(open_s=0.004, own_s=(5.0, 5.0, 5.0, 5.0)),
        TOLD_AT,
        "held 1 decided 9 scheduled 0 process 0 imports 0 weights 0 warm-up 85 ready 5 first-byte 5",
    ),
    "a pod that was open long before": (
        {},
        Start(open_s=3600.0, all_s=0.1),
        TOLD_AT,
        "held 1 decided 9 scheduled 0 process-to-warm-up 0 ready 90 first-byte 5",
    ),
}


@pytest.mark.parametrize("case", CUTS)
def test_a_wake_is_cut_where_its_borders_are_known(case: str) -> None:
    changed, start, told_at, expected = CUTS[case]
    marks = Marks(**{name: changed.get(name, getattr(SEEN, name)) for name in Marks.__slots__})  # type: ignore[arg-type]
    found = stretches(marks, start, told_at)
    assert " ".join(f"{one.name} {one.duration_us / 1e3:g}" for one in found) == expected


moments = st.none() | st.floats(-1e3, 1e3)
durations = st.none() | st.floats(0, 1e3)


@given(
    marks=st.builds(Marks, st.floats(0, 1e3), moments, moments, moments, st.floats(1e3, 2e3)),
    start=st.builds(Start, st.floats(0, 1e3), durations, st.tuples(*[durations] * 4)),
    told_at=moments,
)
def test_whatever_was_seen_and_told_the_parts_are_the_whole(marks: Marks, start: Start, told_at: float | None) -> None:
    found = stretches(marks, start, told_at)
    assert tuple(phase for one in found for phase in one.phases) == wake.PHASES
    assert all(one.duration_us >= 0 for one in found)
    assert marks.answered is not None
    assert sum(one.duration_us for one in found) == round((marks.answered - marks.arrived) * 1e6)
    record = Wake("default", "a-00001", "a-1", "", found)
    assert wake.is_plausible(record)
    assert report.decode(report.encode(record)[4:]) == record
    document = wake.as_document(record)
    known = [ms for ms in document["phases"].values() if ms is not None]
    assert sum(known) + sum(one["ms"] for one in document["together"]) == pytest.approx(record.total_us / 1e3)


@given(
    st.builds(
        Start,
        open_s=st.floats(0, 86_000),
        all_s=durations,
        own_s=st.tuples(*[durations] * 4),
        way=st.sampled_from(("", *wake.WAYS)),
        pod=st.sampled_from(("", "a", "digits-00001-deployment-7c9f8b6d5-x2x4z", "1.a")),
    )
)
def test_a_start_reads_back_to_a_microsecond(start: Start) -> None:
    text = wake.encode_start(start).encode()
    found = wake.decode_start(text)
    assert found is not None
    assert wake.encode_start(found).encode() == text
    assert (found.way, found.pod) == (start.way, start.pod)
    assert [one is None for one in found.own_s] == [one is None for one in start.own_s]


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        b"open=1 imports=2.5 unknown=x way=forked": Start(0.001, None, (None, 0.0025, None, None), "forked"),
        b"open=0 way=teleported pod=Bad_Name all=-1 imports=nan weights=inf process=1e999": Start(),
        b"open=0 imports=99999999999 warm-up=": Start(),
        b"": None,
        b"imports=1": None,
        b"open=-1": None,
        b"open=nan": None,
        "open=1 pod=é".encode(): None,
        b"open=1 " + b"x" * 600: None,
        b"=": None,
    }.items(),
)
def test_what_an_app_writes_is_read_with_care(text: bytes, expected: Start | None) -> None:
    assert wake.decode_start(text) == expected


def test_the_header_the_event_and_the_document_say_the_same() -> None:
    some = Start(open_s=0.004, all_s=0.070, way="plain")
    record = Wake("default", "a-00001", "a-1", "plain", stretches(SEEN, some, TOLD_AT))
    assert wake.server_timing(record) == (
        b"Server-Timing: wake-held;dur=1.000, wake-decided;dur=9.000, wake-scheduled;dur=15.000, "
        b"wake-process-to-warm-up;dur=70.000, wake-ready;dur=5.000, wake-first-byte;dur=5.000, "
        b'wake;dur=105.000;desc="plain"\r\n'
    )
    assert wake.sentence(record) == (
        "Woke in 105 ms by pod a-1, started plainly: held 1.0, decided 9.0, scheduled 15, process-to-warm-up 70, "
        "ready 5.0, first-byte 5.0"
    )
    assert wake.as_document(record) == {
        "namespace": "default",
        "revision": "a-00001",
        "pod": "a-1",
        "way": "plain",
        "total_ms": 105.0,
        "phases": {
            "held": 1.0,
            "decided": 9.0,
            "scheduled": 15.0,
            "process": None,
            "imports": None,
            "weights": None,
            "warm-up": None,
            "ready": 5.0,
            "first-byte": 5.0,
        },
        "together": [{"phases": ["process", "imports", "weights", "warm-up"], "ms": 70.0}],
    }


GOOD = Wake("default", "a-00001", "a-1", "", (Stretch(wake.PHASES, 5),))


@pytest.mark.parametrize(
    "bad",
    [
        Wake("default", "a-00001", "a-1", "", ()),
        Wake("default", "a-00001", "a-1", "", (Stretch(wake.PHASES[1:], 5),)),
        Wake("default", "a-00001", "a-1", "", (Stretch(wake.PHASES, 5), Stretch((), 1))),
        Wake("default", "a-00001", "a-1", "", (Stretch(wake.PHASES, -5),)),
        Wake("default", "a-00001", "a-1", "by magic", (Stretch(wake.PHASES, 5),)),
        Wake("default", "a" * 300, "a-1", "", (Stretch(wake.PHASES, 5),)),
    ],
)
def test_a_wake_that_cannot_be_is_told_from_one_that_can(bad: Wake) -> None:
    assert wake.is_plausible(GOOD)
    assert not wake.is_plausible(bad)


def test_the_annotation_knows_two_words() -> None:
    assert wake.parse_enabled("enabled") and not wake.parse_enabled("disabled")
    with pytest.raises(ValueError, match="'off' is neither enabled nor disabled"):
        wake.parse_enabled("off")
