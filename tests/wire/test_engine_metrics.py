"""What the engine counts, as Prometheus sees it."""

from __future__ import annotations

import dataclasses

from prometheus_client import CollectorRegistry, generate_latest

from tests.support.wire import OK, answering, rig
from tidegate.wire.engine_metrics import HELD, MEANINGS, EngineMetrics
from tidegate.wire.pool import Pool
from tidegate.wire.server import Counters


def test_every_counter_of_the_engine_has_a_meaning_and_is_shown() -> None:
    counters = Counters(answers={"no_route": 2}, floods={"ping": 1})
    for field in dataclasses.fields(Counters):
        assert field.name in MEANINGS, f"say in engine_metrics.MEANINGS what {field.name} counts"
        if isinstance(getattr(counters, field.name), int):
            setattr(counters, field.name, 7)
        elif not getattr(counters, field.name):
            setattr(counters, field.name, {"some": 7})
    registry = CollectorRegistry()
    EngineMetrics("hop", registry, lambda: (counters, counters), Pool())
    page = generate_latest(registry).decode()
    for field in dataclasses.fields(Counters):
        assert MEANINGS[field.name] in page
    assert 'hop_own_answers_total{reason="no_route"} 4.0' in page
    assert 'hop_floods_total{kind="ping"} 2.0' in page
    assert "hop_connections_total 14.0" in page
    for name in HELD:
        assert f"# TYPE hop_{name} gauge" in page


async def test_the_pool_and_the_retries_are_shown() -> None:
    async with rig(answering(OK)) as running:
        registry = CollectorRegistry()
        EngineMetrics("hop", registry, lambda: (running.server.counters,), running.pool)
        for _ in range(3):
            assert (await running.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
        sample = registry.get_sample_value
        assert sample("hop_request_heads_total") == 3
        assert sample("hop_upstream_connects_total", {"protocol": "http1"}) == 1
        assert sample("hop_upstream_reuses_total") == 2
        assert sample("hop_upstream_connections") == sample("hop_upstream_connections_idle") == 1
        assert sample("hop_retries_total") == 0
