"""Every row of hostile requests at gateway, activator and queueproxy, whole and byte by byte."""

from __future__ import annotations

import pytest

from tests.hostile import rows_chunks, rows_framing, rows_heads, rows_sequences
from tests.support.hostile_rows import Row, by_bytes, play
from tests.support.hostile_world import World

ROWS: dict[str, Row] = {
    f"{table}: {name}": row
    for module in (rows_framing, rows_heads, rows_chunks, rows_sequences)
    for table, rows in module.TABLES.items()
    for name, row in rows.items()
}


BY_BYTES = [("queueproxy", "uvloop"), ("activator", "uvloop"), ("gateway", "uvloop"), ("gateway", "asyncio")]


@pytest.mark.parametrize("name", ROWS)
def test_whole(world: World, name: str) -> None:
    world.run(play(world, ROWS[name]))


@pytest.mark.parametrize("world", BY_BYTES, indirect=True, ids="-".join)
@pytest.mark.parametrize("name", ROWS)
def test_byte_by_byte(world: World, name: str) -> None:
    row = ROWS[name]
    world.run(play(world, row, by_bytes(row.sent)))
