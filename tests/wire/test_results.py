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
    results.ended(outcome, b"GET")
    results.ended(outcome, b"GET")
    labels = {"code_class": code_class, "reason": reason}
    assert registry.get_sample_value("hop_requests_total", labels) == 2
    status = str(outcome.status) if outcome.status else ""
    seen = {"http_request_method": "GET", "http_response_status_code": status, "url_scheme": "http"}
    assert registry.get_sample_value("http_server_request_duration_seconds_sum", seen) == pytest.approx(0.2)
