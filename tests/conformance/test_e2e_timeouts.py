"""The three limits of a revision on time: of the whole request, of its first byte, of silence in between.

Upstream's rows with shorter times; the proportions are kept.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.conformance.world import World, service


class Row(NamedTuple):
    """Limits, in whole seconds; what the program waits before its head and before its body, in milliseconds."""

    limits: dict[str, int]
    initial_ms: int
    body_ms: int
    status: int


WHOLE, FIRST, SILENCE = "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds"
ROWS = {
    "in time": Row({WHOLE: 4}, 1000, 0, 200),
    "too late": Row({WHOLE: 4}, 7000, 0, 504),
    "first byte in time": Row({WHOLE: 8, FIRST: 4}, 2000, 0, 200),
    "first byte too late": Row({WHOLE: 8, FIRST: 3}, 6000, 0, 504),
    "a pause in the body shorter than the limit": Row({WHOLE: 8, SILENCE: 3}, 0, 1000, 200),
    "silence longer than the limit": Row({WHOLE: 8, SILENCE: 3}, 7000, 0, 504),
}


@pytest.mark.upstream("e2e", "TestRevisionTimeout")
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_request_ends_by_the_limits_of_its_revision(world: World, row: Row) -> None:
    made = await world.deploy(service("timeout", "timeout", spec=dict(row.limits)))
    revision = await world.get("Revision", made["status"]["latestReadyRevisionName"])
    assert {key: revision["spec"][key] for key in row.limits} == row.limits
    host = world.host("timeout")
    await world.serves(host, "Slept for 0 milliseconds")
    reply = await world.ask(host, f"/?initialTimeout={row.initial_ms}&timeout={row.body_ms}")
    assert reply.status == row.status, reply
    if row.status == 200:
        assert f"Slept for {row.initial_ms + row.body_ms} milliseconds" in reply.body.decode()
    else:
        assert b"timeout" in reply.body
