"""What is counted of a finished request."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from tidegate.wire.director import Answer, Failure, Outcome, Relay
from tidegate.wire.results import Results

RELAY = Relay("10.0.0.1", 8012)


@pytest.mark.parametrize(
    ("outcome", "code_class", "reason"),
    [
        (Outcome(200, None, 0.1, 0.1, RELAY), "2xx", ""),
        (Outcome(503, None, 0.1, 0.1, Answer(503, "queue_full")), "5xx", "queue_full"),
        (Outcome(504, Failure.TIMEOUT_TOTAL, 0.1, None, RELAY), "5xx", "timeout_total"),
        (Outcome(0, Failure.CLIENT_GONE, 0.1, None, None), "none", "client_gone"),
    ],
)
def test_class_and_reason(outcome, code_class, reason):
    registry = CollectorRegistry()
    results = Results("hop", registry)
    results.ended(outcome)
    results.ended(outcome)
    labels = {"code_class": code_class, "reason": reason}
    assert registry.get_sample_value("hop_requests_total", labels) == 2
    assert registry.get_sample_value("hop_request_duration_seconds_sum") == pytest.approx(0.2)
