"""Clients and upstreams that reset, leave and send garbage at random: every request still finishes exactly once.

`rig` asserts at its end that no slot, task or connection is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import random

import h2.events
import h2.exceptions
import pytest
from h2.errors import ErrorCodes

from tests.support.h2_peers import POST, H2Peer, upstream
from tests.support.wire import rig

# RuntimeError: uvloop, when the peer writes to what it has closed itself.
BROKEN = (h2.exceptions.ProtocolError, TimeoutError, ConnectionError, RuntimeError)


def answer_somehow(peer: H2Peer, stream_id: int, chance: random.Random) -> None:
    number = chance.random()
    if number < 0.2:
        peer.h2.reset_stream(stream_id, chance.choice([ErrorCodes.REFUSED_STREAM, ErrorCodes.CANCEL]))
    elif number < 0.3:
        peer.close()
    elif number < 0.35:
        peer.peer.send(b"garbage" * 10)
    else:
        peer.h2.send_headers(stream_id, [(":status", "200")])
        peer.h2.send_data(stream_id, bytes(chance.randrange(16_000)), end_stream=chance.random() < 0.8)


async def behave_badly(client: H2Peer, chance: random.Random) -> None:
    asked: list[int] = []
    for _ in range(30):
        number = chance.random()
        if number < 0.6 or not asked:
            asked.append(client.ask(POST, bytes(chance.randrange(1000)), end=chance.random() < 0.9))
        elif number < 0.8:
            client.h2.reset_stream(chance.choice(asked))
            client.flush()
        elif number < 0.83:
            client.peer.send(chance.randbytes(20))
        else:
            await asyncio.wait_for(client.read(), 0.02)


@pytest.mark.parametrize("seed", range(20))
async def test_nothing_is_left_behind(seed):
    chance = random.Random(seed)

    async def script(peer: H2Peer) -> None:
        answered: set[int] = set()
        with contextlib.suppress(*BROKEN):
            while not peer.is_over:
                await peer.read()
                for event in list(peer.events):
                    if isinstance(event, h2.events.StreamEnded) and event.stream_id not in answered:
                        answered.add(event.stream_id)
                        answer_somehow(peer, event.stream_id, chance)
                peer.flush()

    async with rig(upstream(script), relay={"protocol": "h2c"}) as engine:
        engine.director.on_retry = lambda request, failed, failure: failed
        for _ in range(3):
            client = H2Peer(await engine.client(), is_client=True)
            with contextlib.suppress(*BROKEN):
                await behave_badly(client, chance)
            if chance.random() < 0.5:
                client.peer.reset()
