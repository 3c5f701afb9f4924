"""Rows of the tables, mutated at random: whatever it is, it is answered or refused, and the upstream reads it one way.

The invariant needs no expected outcome: the strict reading of the upstream succeeds, all parsers agree with it, no
more requests come out than answers, and nothing is left. HYPOTHESIS_PROFILE=deep tries 5,000 of each.
"""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile import rows_answers
from tests.hostile.test_answers import says
from tests.hostile.test_requests import ROWS
from tests.support import strict_http
from tests.support.hostile_rows import Line, get
from tests.support.hostile_upstream import Connection
from tests.support.hostile_world import PATIENCE_S, World

SEEDS = sorted(name for name, row in ROWS.items() if len(row.sent) < 600)
ANSWERS = sorted(
    {said for said in (*rows_answers.REFUSED.values(), *rows_answers.CUT.values()) if len(said) < 400}
    | {said for said, _, _ in (*rows_answers.PASSED.values(), *rows_answers.BEHIND.values())}
)
PARTS = [
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b"\0",
        b":",
        b",",
        b";",
        b"0",
        b"5",
        b"\x0b",
        b"\xff",
        b"\r\n\r\n",
        b"#",
        b"%0d",
    ),
    *(b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    *(
        b"Host: x\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: h2c\r\n",
        b" HTTP/1.1",
        b"HTTP/1.0",
        b"GET / HTTP/1.1\r\n",
    ),
    *(b"0\r\n\r\n", b"5\r\nhello\r\n", b"Trailer: X\r\n", b"Connection: content-length, host\r\n", b"\r\n "),
]
MUTATION = st.tuples(
    st.sampled_from(["insert", "replace", "delete", "repeat", "swap case"]),
    st.integers(min_value=0, max_value=600),
    st.integers(min_value=1, max_value=12),
    st.sampled_from(PARTS),
)
WORLDS = pytest.mark.parametrize(
    "world", [("queueproxy", "uvloop"), ("gateway", "asyncio")], indirect=True, ids="-".join
)
FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def mutated(data: bytes, mutations: list[tuple[str, int, int, bytes]]) -> bytes:
    """Apply mutations one after the other."""
    for kind, place, size, part in mutations:
        place = place % (len(data) + 1)
        end = min(place + size, len(data))
        if kind == "insert":
            data = data[:place] + part + data[place:]
        elif kind == "replace":
            data = data[:place] + part + data[end:]
        elif kind == "delete":
            data = data[:place] + data[end:]
        elif kind == "repeat":
            data = data[:end] + data[place:end] + data[end:]
        else:
            data = data[:place] + data[place:end].swapcase() + data[end:]
    return data


@WORLDS
@FUZZ
@given(
    names=st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3),
    mutations=st.lists(MUTATION, max_size=5),
    cut=st.integers(min_value=0, max_value=1000),
)
def test_requests(world: World, names: list[str], mutations: list[tuple[str, int, int, bytes]], cut: int) -> None:
    sent = mutated(b"".join(ROWS[name].sent for name in names), mutations)

    async def main() -> None:
        world.recorder.begin()
        line = await Line.connect(world.port)
        line.send(sent[:cut])
        await asyncio.sleep(0)
        line.send(sent[cut:] + get(target=b"/last"))
        await world.rests()
        line.close()
        await world.settled()
        world.recorder.check(is_cut=True)
        seen = world.recorder.seen
        if not any(connection.tunnel is not None for connection in world.recorder.connections):
            assert line.raw.count(b"HTTP/1.1 200 OK") <= len(seen) <= line.raw.count(b"HTTP/1.1 ") + 1

    world.run(main())


@WORLDS
@FUZZ
@given(said=st.sampled_from(ANSWERS), mutations=st.lists(MUTATION, min_size=1, max_size=4), way=st.booleans())
def test_answers(world: World, said: bytes, mutations: list[tuple[str, int, int, bytes]], way: bool) -> None:
    """What reaches the client is whole by every parser's reading, or visibly cut."""
    answer = mutated(said, mutations)

    async def main() -> None:
        says(world, answer, "whole" if way else "byte by byte", Connection.close)
        line = await Line.connect(world.port)
        line.send(get() + get(target=b"/canary"))
        async with asyncio.timeout(PATIENCE_S):
            while not line.is_over and not two_whole(line.raw):
                line.news.clear()
                await line.news.wait()
        await world.rests()
        line.close()
        await world.settled()
        whole = strict_http.answer_of(line.raw)
        if whole is not None and strict_http.answer_of(line.raw, whole[1]) is not None:
            readings = strict_http.readings_of_answers(line.raw, [b"GET", b"GET"])
            assert all(reading == readings["strict"] for reading in readings.values()), readings
        else:
            assert line.is_over

    world.run(main())


def two_whole(raw: bytes) -> bool:
    """Whether two answers have come: there was one upstream that ends behind its own, and the canary's."""
    first = strict_http.answer_of(raw)
    return first is not None and strict_http.answer_of(raw, first[1]) is not None
