"""Spans on their way to a collector: batches, a bounded queue, and a collector that is not there."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from tests.support.collector import collector
from tests.support.servers import serving
from tidegate.contracts.spans import Span
from tidegate.contracts.trace_context import Context
from tidegate.process import span_export
from tidegate.process.span_export import SpanExport, parse_endpoint

CONTEXT = Context("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True)
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may hold up the collector of a test; what was given up is counted as failed."""
    monkeypatch.setattr(span_export, "POST_TIMEOUT_S", PATIENCE_S)
    monkeypatch.setattr(span_export, "LAST_POST_TIMEOUT_S", PATIENCE_S)


def span(number: int) -> Span:
    return Span(f"span {number}", CONTEXT, "", 10**18, 10**18 + number, attributes={"number": number, "is": True})


def export_to(endpoint: str) -> tuple[SpanExport, CollectorRegistry]:
    registry = CollectorRegistry()
    return SpanExport(endpoint, {"service.name": "hop"}, "hop", registry), registry


async def test_spans_are_sent_in_batches_in_the_form_of_otlp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "EVERY_S", 0.01)
    monkeypatch.setattr(span_export, "BATCH_LIMIT", 2)
    async with collector() as (endpoint, got):
        export, registry = export_to(endpoint)
        export.start()
        for number in range(5):
            export.add(span(number))
        async with asyncio.timeout(PATIENCE_S):
            while export.exported < 5:
                await asyncio.sleep(0.005)
        await export.close()
    batches = [document["resourceSpans"][0]["scopeSpans"][0]["spans"] for document in got]
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert got[0]["resourceSpans"][0]["resource"]["attributes"] == [
        {"key": "service.name", "value": {"stringValue": "hop"}}
    ]
    assert batches[0][1] == {
        "traceId": CONTEXT.trace_id,
        "spanId": CONTEXT.span_id,
        "name": "span 1",
        "kind": 2,
        "startTimeUnixNano": str(10**18),
        "endTimeUnixNano": str(10**18 + 1),
        "attributes": [{"key": "number", "value": {"intValue": "1"}}, {"key": "is", "value": {"boolValue": True}}],
        "status": {},
    }
    assert registry.get_sample_value("hop_spans_total", {"result": "exported"}) == 5


async def test_a_full_queue_drops_and_the_last_ones_are_sent_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "QUEUE_LIMIT", 3)
    async with collector() as (endpoint, got):
        export, registry = export_to(endpoint)
        export.start()
        for number in range(10):
            export.add(span(number))
        assert registry.get_sample_value("hop_spans_queued") == 3
        await export.close()
    assert len(got) == 1
    assert (export.exported, export.dropped, export.failed) == (3, 7, 0)


@pytest.mark.parametrize("status", [0, 503])
async def test_what_cannot_be_sent_is_counted_and_complained_of_once(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with collector(status) as (endpoint, _):
        export, _ = export_to(endpoint if status else "http://127.0.0.1:9")
        for number in range(3):
            export.add(span(number))
            await export.close()
    assert (export.exported, export.failed) == (0, 3)
    assert caplog.text.count("spans could not be sent") == 1


async def test_a_collector_that_does_not_answer_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "LAST_POST_TIMEOUT_S", 0.05)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        export, _ = export_to(f"http://127.0.0.1:{port}")
        export.add(span(1))
        await asyncio.wait_for(export.close(), PATIENCE_S)
    assert export.failed == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://collector:4318", ("collector", 4318, "/v1/traces", False)),
        ("https://collector/", ("collector", 443, "/v1/traces", True)),
        ("http://collector/other/path", ("collector", 4318, "/other/path", False)),
    ],
)
def test_endpoints(text: str, expected: tuple[str, int, str, bool]) -> None:
    assert parse_endpoint(text) == expected


@pytest.mark.parametrize("text", ["collector:4318", "grpc://collector", "http://", "nonsense"])
def test_endpoints_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="no endpoint for spans"):
        parse_endpoint(text)
