"""Figures of several workers, taken together."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gateway.metrics import Metrics
from gateway.totals import Totals, newest
from tests.support.heads import outcome


def page(requests: int, in_flight: int = 0, hosts: int = 1) -> str:
    metrics = Metrics()
    for _ in range(requests):
        metrics.results.ended(outcome(), b"GET")
    metrics.ejections.inc(requests)
    metrics.show("requests_in_flight", "In flight.", lambda: in_flight)
    metrics.show("hosts", "Hosts.", lambda: hosts)
    return generate_latest(metrics.registry).decode()


def read(totals: Totals, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(totals)
    return registry.get_sample_value(name, labels)


DONE = {"code_class": "2xx", "reason": ""}
GET = {"http_request_method": "GET", "http_response_status_code": "200", "url_scheme": "http"}


def test_counts_are_summed_and_stay_when_a_worker_ends():
    totals = Totals()
    totals.seen(1, page(3, in_flight=2, hosts=5))
    totals.seen(2, page(4, in_flight=1, hosts=6))
    for workers, in_flight in ((2, 3), (1, 1), (0, None)):
        assert read(totals, "tidegate_gateway_requests_total", **DONE) == 7
        assert read(totals, "http_server_request_duration_seconds_count", **GET) == 7
        assert read(totals, "http_server_request_duration_seconds_bucket", le="0.01", **GET) == 7
        assert read(totals, "tidegate_gateway_ejections_total") == 7
        assert read(totals, "tidegate_gateway_requests_in_flight") == in_flight
        assert read(totals, "tidegate_gateway_hosts") == (6 if workers else None)
        totals.gone(3 - workers)
    totals.seen(3, page(1, in_flight=1))
    assert read(totals, "tidegate_gateway_requests_total", **DONE) == 8


def test_the_sum_reads_like_one_process():
    totals, registry = Totals(), CollectorRegistry()
    totals.seen(1, page(1))
    registry.register(totals)
    together = generate_latest(registry).decode()
    alone = [line for line in page(1).splitlines() if "_created" not in line]
    assert together.splitlines() == alone


def test_a_page_that_is_none_changes_nothing():
    totals = Totals()
    with pytest.raises(ValueError, match=r".*"):
        totals.seen(1, "nonsense {")
    assert list(totals.collect()) == []


def test_the_newest_wakes_of_all():
    found = newest([[{"arrived_unix_s": 1.0}, {"arrived_unix_s": 4.0}], [{"arrived_unix_s": 3.0}], []], kept=2)
    assert [wake["arrived_unix_s"] for wake in found] == [3.0, 4.0]
