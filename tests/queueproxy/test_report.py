"""The reporter: each second while something happens, one zero, then silence."""

from __future__ import annotations

from queueproxy.meter import Meter
from queueproxy.report import Reporter
from tidegate.contracts import report


class Link:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.is_connected = True
        self.session_s = 1.0
        self.moves: list[tuple[str, int]] = []
        self.sent: list[report.Report] = []

    def send(self, message: report.Report) -> bool:
        if self.is_connected:
            self.sent.append(message)
        return self.is_connected

    def move_to(self, address: tuple[str, int]) -> None:
        self.moves.append(address)


def script() -> tuple[Meter, Link, Reporter]:
    meter, link = Meter(0.0), Link()
    return meter, link, Reporter(meter, link, lambda: 0.0, namespace="default", revision="app-00001")  # type: ignore[arg-type]


def test_silence_while_idle_and_one_zero_after_traffic():
    meter, link, reporter = script()
    reporter.tick(1.0)
    assert link.sent == []
    meter.arrived(1.5, is_proxied=True)
    reporter.tick(2.0)
    meter.ended(2.5, is_proxied=True)
    for second in range(3, 8):
        reporter.tick(float(second))
    sent = [(item.concurrency, item.requests, item.sequence) for item in link.sent]
    assert sent == [(0.5, 1, 1), (0.5, 0, 2), (0.0, 0, 3)]
    assert link.sent[0].proxied_requests == 1


def test_a_constant_load_is_reported_each_second():
    meter, link, reporter = script()
    meter.arrived(0.0, is_proxied=False)
    for second in range(1, 6):
        reporter.tick(float(second))
    assert [item.concurrency for item in link.sent] == [1.0] * 5
    assert [item.in_flight for item in link.sent] == [1] * 5


def test_a_fresh_connection_hears_the_state_once():
    _meter, link, reporter = script()
    link.is_connected = False
    reporter.tick(1.0)
    link.is_connected = True
    reporter.connected()
    reporter.tick(2.0)
    reporter.tick(3.0)
    assert [item.concurrency for item in link.sent] == [0.0]


def test_a_fresh_connection_hears_what_was_without_what_came_through_an_activator():
    meter, link, reporter = script()
    meter.arrived(0.0, is_proxied=False)
    meter.arrived(0.0, is_proxied=True)
    for second in range(1, report.HISTORY_S + 50):
        reporter.tick(float(second))
    link.sent.clear()
    reporter.connected()
    (history,) = link.sent
    assert history.concurrency == [1.0] * report.HISTORY_S
    assert history.rps == [0.0] * report.HISTORY_S
    assert len(report.encode(history)) < 4096


def test_it_follows_its_revision_to_the_replica_that_decides():
    _meter, link, reporter = script()
    reporter.owners_changed(report.Owners(["10.0.0.1:8080"], [-1, -1]))
    assert link.moves == []
    reporter.owners_changed(report.Owners(["10.0.0.1:8080", "10.0.0.2:8080"], [1, 1]))
    assert link.moves == [("10.0.0.2", 8080)]
