"""What a gRPC client learns from an answer that is ours: every reason has a code, and a message it can read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("grpc")

import grpc

from tests.support.grpc_apps import channel
from tests.support.wire import rig
from tidegate.contracts import outcomes
from tidegate.wire import grpc_status
from tidegate.wire.answers import answer_of
from tidegate.wire.director import Answer, Request

REASONS = [value for value in vars(outcomes).values() if isinstance(value, outcomes.Reason)]
CODES = {code.value[0]: code for code in grpc.StatusCode}


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.code)
async def test_every_reason_reaches_grpcs_own_client(reason):
    async with (
        rig(direct=lambda request, _: answer_of(reason, "äöü 100%\n")) as engine,
        channel(engine.server.port) as calls,
    ):
        call = calls.unary_unary("/test.Echo/Unary")(b"")
        code, details = await call.code(), await call.details()
        assert code is CODES[grpc_status.code_of(reason.code, reason.status)]
        assert code is not grpc.StatusCode.UNKNOWN
        assert details == f"{reason.text}: äöü 100%\n"
        metadata = dict(await call.trailing_metadata() or ())
        assert metadata["x-tidegate-reason"] == reason.code
        assert engine.director.outcomes[0].status == reason.status  # what is counted is not 200


@pytest.mark.parametrize(
    ("kind", "version", "is_grpc"),
    [
        (b"application/grpc", "2", True),
        (b"application/grpc+proto", "2", True),
        (b"application/grpc;charset=utf-8", "2", True),
        (b"application/grpc-web", "2", False),
        (b"application/json", "2", False),
        (b"application/grpc", "1.1", False),
        (b"", "2", False),
    ],
)
def test_what_a_grpc_call_is(kind, version, is_grpc):
    request = Request(b"POST", b"/", "", [], "", 0.0, version, index={b"content-type": kind})
    assert grpc_status.is_grpc(request) == is_grpc


def test_the_engines_page_has_the_table():
    page = (Path(__file__).resolve().parents[2] / "docs" / "engine.md").read_text()
    rows = re.findall(r"^\| (\d+) ([A-Z_]+) \| (.*) \|$", page, re.MULTILINE)
    said = {reason: int(number) for number, _, text in rows for reason in re.findall("`([a-z_]+)`", text)}
    assert {CODES[int(number)].name for number, _, _ in rows} == {name for _, name, _ in rows}
    for reason in REASONS:
        assert said.get(reason.code, grpc_status.UNAVAILABLE) == grpc_status.code_of(reason.code, reason.status)


def test_an_unheard_of_status_is_unknown():
    assert grpc_status.code_of("", 418) == grpc_status.UNKNOWN
    assert (b"grpc-status", b"2") in grpc_status.trailers_only(Answer(418, "teapot"))
