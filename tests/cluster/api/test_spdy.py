"""SPDY framing: what a client sends is understood however it is cut, and hostile input ends the connection."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api import spdy


class Peer:
    """A client's framing."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=spdy.DICTIONARY)

    def open(self, stream: int, flags: int = 0, **headers: str) -> bytes:
        plain = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for text in (name, value):
                plain += struct.pack(">I", len(text)) + text.encode()
        packed = self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        body = struct.pack(">IIH", stream, 0, 0) + packed
        return struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, flags << 24 | len(body)) + body


def test_the_dictionary_is_the_published_one() -> None:
    assert (len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)) == (1423, 0xE3C6A7C2)


@given(
    st.lists(st.tuples(st.sampled_from(["stdin", "error", "x" * 300]), st.binary(max_size=80)), min_size=1, max_size=5),
    st.lists(st.integers(1, 40), min_size=1, max_size=10),
)
def test_streams_and_data_survive_any_cut(opened: list[tuple[str, bytes]], cuts: list[int]) -> None:
    peer, server = Peer(), spdy.Connection()
    sent = b""
    for index, (kind, content) in enumerate(opened):
        sent += peer.open(2 * index + 1, streamtype=kind, port="80") + spdy.data(2 * index + 1, content, is_last=True)
    events: list[spdy.Event] = []
    at = step = 0
    while at < len(sent):
        size = cuts[step % len(cuts)]
        events += server.receive(sent[at : at + size])
        at, step = at + size, step + 1
    expected: list[spdy.Event] = []
    for index, (kind, content) in enumerate(opened):
        number = 2 * index + 1
        expected += [
            spdy.Opened(number, {"streamtype": kind, "port": "80"}, False),
            spdy.Received(number, content, True),
        ]
    assert events == expected


def test_ping_reset_and_goodbye() -> None:
    server = spdy.Connection()
    ping = struct.pack(">HHII", 0x8003, spdy.PING, 4, 7)
    window = struct.pack(">HHIII", 0x8003, spdy.WINDOW_UPDATE, 8, 1, 100)
    settings = struct.pack(">HHII", 0x8003, spdy.SETTINGS, 4, 0)
    assert server.receive(ping + window + settings + spdy.reset(3) + spdy.goodbye()) == [
        spdy.Pinged(ping),
        spdy.Reset(3),
        spdy.Left(),
    ]


def test_replies_share_one_zlib_stream() -> None:
    server, inflate = spdy.Connection(), zlib.decompressobj(zdict=spdy.DICTIONARY)
    for number in (1, 3):
        reply = server.accept(number)
        assert struct.unpack_from(">HH", reply) == (0x8003, spdy.SYN_REPLY)
        assert inflate.decompress(reply[12:]) == b"\0\0\0\0"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n" + bytes(3 << 20),
        struct.pack(">HHI", 0x8002, spdy.PING, 4) + bytes(4),
        struct.pack(">II", 1, spdy.FRAME_LIMIT_BYTES + 1),
        struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, 12) + bytes(12),
        Peer().open(1, big="x" * (spdy.NAMES_LIMIT_BYTES + 1)),
        struct.pack(">HHI", 0x8003, spdy.RST_STREAM, 0),
    ],
)
def test_what_is_no_spdy_or_too_much_ends_the_connection(sent: bytes) -> None:
    with pytest.raises(spdy.SpdyError):
        spdy.Connection().receive(sent)


def test_the_number_of_streams_is_bounded() -> None:
    peer, server = Peer(), spdy.Connection()
    with pytest.raises(spdy.SpdyError, match="streams"):
        for number in range(spdy.STREAMS_LIMIT + 1):
            server.receive(peer.open(2 * number + 1, a="b"))
