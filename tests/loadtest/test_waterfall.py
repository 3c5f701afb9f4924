"""What load tests read of a cold start: phases from the header that carries them, medians of what is comparable."""

from __future__ import annotations

import pytest

from loadtest import wake_services, waterfall
from loadtest.load import Reply
from tidegate.contracts import wake
from tidegate.contracts.wake import Marks, Start, Wake, stretches

MARKS = Marks(0.0, 0.001, 0.010, 0.100, 0.105)


def reply(*values: str) -> Reply:
    return Reply(200, {"server-timing": ", ".join(values)} if values else {}, b"", 0.1)


@pytest.mark.parametrize("start", [Start(0.004, 0.07, (0.01, 0.03, 0.02, 0.01), "forked"), Start(0.004, 0.07)])
def test_the_header_reads_back(start: Start) -> None:
    record = Wake("default", "a-00001", "a-1", start.way, stretches(MARKS, start, 0.099))
    line = wake.server_timing(record).decode().removeprefix("Server-Timing: ").strip()
    for text in (line, f"db;dur=5, cache, {line}"):  # an app's own metrics are not ours
        phases = waterfall.read(reply(text))
        assert phases.pop("total") == 105.0
        assert phases == {one.name: one.duration_us / 1e3 for one in record.stretches}
        assert waterfall.way(reply(text)) == start.way


def test_an_answer_without_a_wake() -> None:
    for one in (reply(), reply("db;dur=5"), reply("wake")):
        assert (waterfall.read(one), waterfall.way(one)) == ({}, "")


def test_medians_are_of_wakes_that_tell_the_same() -> None:
    told = [{"held": value, "total": value * 2} for value in (1.0, 3.0, 2.0)]
    assert waterfall.medians([*told, {}, {"held-to-ready": 9.0, "total": 9.0}]) == {
        "wakes": 3,
        "held": 2.0,
        "total": 4.0,
    }
    assert waterfall.medians([{}]) == {}


def test_examples_and_model_servers_can_be_woken() -> None:
    document = wake_services.document("hello", "mine", {"a": "b"})
    assert document["metadata"]["name"] == "mine"
    assert document["spec"]["template"]["metadata"]["annotations"]["a"] == "b"
    assert wake_services.command("hello")[1:] == ["-m", "examples.hello"]


@pytest.mark.slow
@pytest.mark.parametrize(("service", "library"), [("sklearn", "skops"), ("torch", "torch")])
def test_a_model_server_gets_a_model_of_its_kind(service: str, library: str) -> None:
    pytest.importorskip(library)
    document = wake_services.document(service, "mine", {})
    (container,) = document["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"tidegate.dev/runtimes/{service}"
    assert container["args"] == wake_services.command(service)[3:]
    assert container["readinessProbe"]["httpGet"]["path"] == wake_services.READY


def test_a_stretch_is_made_of_the_phases_from_its_first_to_its_last():
    assert waterfall.phases_of("warm-up") == ("warm-up",)
    assert waterfall.phases_of("process-to-warm-up") == ("process", "imports", "weights", "warm-up")
    assert waterfall.phases_of("total") == ()
