"""The duration histogram: OpenTelemetry's names, bounded labels."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from tidegate.wire.durations import SERIES_LIMIT, Durations

NAME = "http_server_request_duration_seconds"


def labels(method: str, status: str, scheme: str = "http", **more: str) -> dict[str, str]:
    return {"http_request_method": method, "http_response_status_code": status, "url_scheme": scheme, **more}


def test_requests_are_counted_by_method_status_and_scheme():
    registry = CollectorRegistry()
    durations = Durations(registry)
    for seconds in (0.004, 0.005, 0.3, 60.0):
        durations.ended(b"GET", 200, "http", seconds)
    durations.ended(b"POST", 0, "https", 1.0)
    assert registry.get_sample_value(f"{NAME}_count", labels("GET", "200")) == 4
    assert registry.get_sample_value(f"{NAME}_sum", labels("GET", "200")) == 60.309
    assert registry.get_sample_value(f"{NAME}_bucket", labels("GET", "200", le="0.005")) == 2
    assert registry.get_sample_value(f"{NAME}_bucket", labels("GET", "200", le="10.0")) == 3
    assert registry.get_sample_value(f"{NAME}_count", labels("POST", "", "https")) == 1


def test_no_client_and_no_app_can_make_labels_without_end():
    registry = CollectorRegistry()
    durations = Durations(registry)
    for number in range(300):
        durations.ended(b"M%d" % number, 200, "http", 0.1)
    assert registry.get_sample_value(f"{NAME}_count", labels("_OTHER", "200")) == 300
    for status in range(100, 900):
        durations.ended(b"GET", status, "http", 0.1)
    (metric,) = durations.collect()
    counts = [sample for sample in metric.samples if sample.name.endswith("_count")]
    assert len(counts) <= SERIES_LIMIT + 1
    assert sum(sample.value for sample in counts) == 1100
    assert registry.get_sample_value(f"{NAME}_count", labels("_OTHER", "_OTHER")) == 800 - SERIES_LIMIT + 1
