"""The pipe that a container reads its standard input from."""

from __future__ import annotations

import asyncio
import os

from cluster.node.standard_input import StandardInput

MORE_THAN_A_PIPE_HOLDS = 200_000


async def test_clients_that_fill_the_pipe_take_turns() -> None:
    given = StandardInput()
    feeding = [asyncio.create_task(given.feed(word * MORE_THAN_A_PIPE_HOLDS)) for word in (b"a", b"b")]
    got = b""
    async with asyncio.timeout(20):
        while len(got) < 2 * MORE_THAN_A_PIPE_HOLDS:
            await asyncio.sleep(0)
            got += await asyncio.to_thread(os.read, given.reader, 1 << 16)
        await asyncio.gather(*feeding)
    assert got == b"a" * MORE_THAN_A_PIPE_HOLDS + b"b" * MORE_THAN_A_PIPE_HOLDS
    given.close()
    os.close(given.reader)


async def test_its_end_frees_who_still_writes() -> None:
    given = StandardInput()
    feeding = asyncio.create_task(given.feed(b"a" * MORE_THAN_A_PIPE_HOLDS))
    while not given.is_waited_for:
        await asyncio.sleep(0)
    given.close()
    async with asyncio.timeout(10):
        await feeding
    os.close(given.reader)
