"""How many bytes an answer's body had, in every framing and from both versions of HTTP."""

from __future__ import annotations

import pytest

from tests.support.wire import Peer, answering, rig
from tidegate.wire.director import UNKNOWN_BYTES

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = 300_000

ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", False, 5),
    "empty": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False, 0),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", False, 0),
    "large": (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE + bytes(LARGE), False, LARGE),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n3\r\nyou\r\n0\r\nA: b\r\n\r\n",
        False,
        8,
    ),
    "until the end": (b"HTTP/1.1 200 OK\r\n\r\nhello you", True, 9),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_the_outcome_has_the_size_without_framing(name: str, version: bytes) -> None:
    answer, close, size = ANSWERS[name]
    async with rig(answering(answer, close=close)) as running:
        for _ in range(2):  # the second head is a known one
            await running.ask(ASK.replace(b"1.1", version))
        await running.director.all_finished()
        assert [outcome.answer_bytes for outcome in running.director.outcomes] == [size, size]


async def test_an_answer_that_broke_off_has_no_size() -> None:
    async def broken(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await peer.flush()

    async with rig(broken) as running:
        client = await running.client()
        client.send(ASK)
        await client.gone()
        await running.director.all_finished()
        assert running.director.outcomes[0].answer_bytes == UNKNOWN_BYTES


async def test_the_answer_to_head_has_no_body() -> None:
    async with rig(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as running:
        await running.ask(ASK.replace(b"GET", b"HEAD"), to_head=True)
        await running.director.all_finished()
        assert running.director.outcomes[0].answer_bytes == 0
