"""The fault proxy in front of an echo server: what each command does to a client."""

import asyncio
import socket

import pytest

from cluster.faults import FaultProxy


async def echo(reader, writer):
    try:
        while chunk := await reader.read(1024):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def proxy():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with FaultProxy(*server.sockets[0].getsockname()) as proxy:
        yield proxy
    server.close()


@pytest.fixture
async def connect(proxy):
    writers = []

    async def open_connection():
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writers.append(writer)
        return reader, writer

    yield open_connection
    for writer in writers:
        writer.close()


async def ask(connection, text=b"hello", size=None):
    reader, writer = connection
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text) if size is None else size), 30)


async def ended(connection):
    """Return what still comes before the connection ends, by reset or by close."""
    try:
        return await asyncio.wait_for(connection[0].read(), 30)
    except ConnectionError:
        return b""


async def test_passes_on_both_ways_and_the_end(proxy, connect):
    connection = await connect()
    assert await ask(connection) == b"hello"
    connection[1].write_eof()
    assert await ended(connection) == b""
    assert proxy.accepted == 1


async def test_large_bodies_arrive_whole(connect):
    connection = await connect()
    body = bytes(range(256)) * 4096
    _, received = await asyncio.gather(connection[1].drain(), ask(connection, body))
    assert received == body


async def test_delay(proxy, connect):
    connection = await connect()
    await ask(connection)
    proxy.delay_s = 0.03
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert await ask(connection) == b"hello"
    assert loop.time() - start >= 0.06  # there and back


async def test_stall_holds_everything_until_healed(proxy, connect):
    connection = await connect()
    await ask(connection)
    proxy.stall()
    answer = asyncio.ensure_future(ask(connection))
    other = await connect()
    late = asyncio.ensure_future(ask(other, b"late"))
    done, _ = await asyncio.wait({answer, late}, timeout=0.05)
    assert not done
    proxy.heal()
    assert (await answer, await late) == (b"hello", b"late")


async def test_cut_resets_what_is_open_and_lets_new_ones_in(proxy, connect):
    first, second = await connect(), await connect()
    await ask(first)
    await ask(second)
    assert proxy.cut() == 2
    assert await ended(first) == b""
    assert await ended(second) == b""
    assert await ask(await connect()) == b"hello"
    assert proxy.cut_connections == 2


async def test_cut_in_the_middle_of_an_answer(proxy, connect):
    proxy.answer_limit_bytes = 3
    connection = await connect()
    connection[1].write(b"hello")
    assert await ended(connection) == b"hel"
    proxy.heal()
    assert await ask(await connect()) == b"hello"


async def test_refuses(proxy, connect):
    proxy.refuses = True
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await ask(await connect())
    proxy.heal()
    assert await ask(await connect()) == b"hello"


async def test_a_server_that_is_not_there():
    # Bound, so that nobody else gets the port, but not listening.
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        async with FaultProxy(*mute.getsockname()) as proxy:
            connection = await asyncio.open_connection("127.0.0.1", proxy.port)
            assert await ended(connection) == b""
            connection[1].close()
