"""The same bytes, cut and joined anywhere, have the same outcome: in both directions.

`test_requests` and `test_answers` send each row whole and by single bytes; here it is cut in two at the places where a
reader changes its state, and good requests are joined and cut at random.
"""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile import rows_answers
from tests.hostile.test_answers import canary, done
from tests.hostile.test_requests import ROWS
from tests.support import strict_http
from tests.support.hostile_rows import Line, Row, Seen, get, play, post, trickle
from tests.support.hostile_upstream import Connection, answer_ok
from tests.support.hostile_world import World
from tests.support.strict_http import Message
from tidegate.process import tasks

CUTS_LIMIT = 16
ONE_WORLD = pytest.mark.parametrize("world", [("queueproxy", "uvloop")], indirect=True, ids=["queueproxy-uvloop"])
TWO_WORLDS = pytest.mark.parametrize(
    "world", [("gateway", "uvloop"), ("gateway", "asyncio")], indirect=True, ids=["gateway-uvloop", "gateway-asyncio"]
)
QUICK = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def places(data: bytes) -> list[int]:
    """Return where to cut: around line ends, colons and spaces, as many as there is time for."""
    found = sorted(
        {place for match in re.finditer(rb"[\r\n: ;,\0]", data) for place in (match.start(), match.end())}
        | {1, len(data) - 1}
    )
    inside = [place for place in found if 0 < place < len(data)]
    step = max(1, len(inside) // CUTS_LIMIT)
    return inside[::step]


@ONE_WORLD
@pytest.mark.parametrize("name", ROWS)
def test_a_request_cut_in_two(world: World, name: str) -> None:
    row = ROWS[name]
    for place in places(row.sent):
        world.run(play(world, row, [row.sent[:place], row.sent[place:]]))


@ONE_WORLD
@pytest.mark.parametrize("name", ROWS)
def test_a_request_behind_a_good_one(world: World, name: str) -> None:
    """A reader that has read a good head remembers it; what comes next is read as if it came first."""
    row = ROWS[name].at(world.director)
    if row.tunnel is not None or row.interim:
        pytest.skip("its outcome is not told in terms of a first answer")
    first = Row(get() + row.sent, ((200, ""), *row.gets), row.then, (Seen(), *row.seen), row.is_cut)
    world.run(play(world, first))
    world.run(play(world, first, [get(), row.sent]))


GOOD: list[tuple[bytes, Seen]] = [
    (get(target=b"/a"), Seen(target=b"/a")),
    (get(b"X: y\r\n", b"/b?c=d"), Seen(target=b"/b?c=d")),
    (get(method=b"HEAD", target=b"/h"), Seen(b"HEAD", b"/h")),
    (post(b"Content-Length: 5\r\n", b"hello"), Seen(b"POST", b"/", b"hello")),
    (post(b"Content-Length: 0\r\n"), Seen(b"POST")),
    (post(b"Transfer-Encoding: chunked\r\n", b"2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n"), Seen(b"POST", b"/", b"hello")),
    (
        post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
        Seen(b"POST", b"/", b"hello", trailers=((b"x-sum", b"1"),)),
    ),
    (b"\r\n" + get(target=b"/blank"), Seen(target=b"/blank")),
]


@TWO_WORLDS
@QUICK
@given(
    chosen=st.lists(st.sampled_from(range(len(GOOD))), min_size=1, max_size=8),
    cuts=st.lists(st.integers(min_value=0, max_value=900), max_size=12),
)
def test_good_requests_joined_and_cut(world: World, chosen: list[int], cuts: list[int]) -> None:
    stream = b"".join(GOOD[index][0] for index in chosen)
    seen = tuple(GOOD[index][1] for index in chosen)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    world.run(play(world, Row(stream, ((200, ""),) * len(seen), "kept", seen), pieces))


@TWO_WORLDS
@QUICK
@given(
    names=st.lists(st.sampled_from(sorted(rows_answers.PASSED)), min_size=1, max_size=5),
    cuts=st.lists(st.integers(min_value=1, max_value=250), max_size=6),
)
def test_answers_cut_anywhere(world: World, names: list[str], cuts: list[int]) -> None:
    """The client reads the same answers, by every parser's reading, wherever the upstream's writes end."""

    async def main() -> None:
        left = list(names)

        def speak(connection: Connection, message: Message) -> None:
            if message.start[1] == b"/canary":
                answer_ok(connection, message)
                return
            said = rows_answers.PASSED[left.pop(0)][0]
            edges = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
            pieces = [said[start:end] for start, end in itertools.pairwise(edges)]
            speaking.append(tasks.spawn(trickle(connection, pieces), "speak"))

        speaking: list[object] = []
        world.recorder.begin()
        world.recorder.on_request = speak
        line = await Line.connect(world.port)
        for name in names:
            line.send(get())
            answer = await line.answer()
            assert (answer.status, answer.body) == rows_answers.PASSED[name][1:]
        await canary(line)
        readings = strict_http.readings_of_answers(line.raw, [b"GET"] * (len(names) + 1))
        assert all(reading == readings["strict"] for reading in readings.values())
        await done(world, line)

    world.run(main())
