"""HPACK: RFC 7541's own examples, the hpack library as the other side, and blocks that mean harm."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.wire import hpack_encoder
from tidegate.wire.h2_frames import ConnectionFailed, ErrorCode
from tidegate.wire.hpack_decoder import Decoder

NAMES = st.sampled_from([b":path", b"accept", b"x-one", b"x-two", b"cookie", b"grpc-timeout"]) | st.binary(
    min_size=1, max_size=20
)
VALUES = st.sampled_from([b"", b"/", b"gzip, deflate", b"1"]) | st.binary(max_size=200)
LISTS = st.lists(st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=8), max_size=8)

# RFC 7541 appendix C.3 and C.4: the same three requests, without and with Huffman coding.
REQUESTS = [
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")],
    [
        *[(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")],
        (b"cache-control", b"no-cache"),
    ],
    [
        *[(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/index.html")],
        *[(b":authority", b"www.example.com"), (b"custom-key", b"custom-value")],
    ],
]
PLAIN = [
    "828684410f7777772e6578616d706c652e636f6d",
    "828684be58086e6f2d6361636865",
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
]
HUFFMAN = [
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
]


@pytest.mark.parametrize("blocks", [PLAIN, HUFFMAN])
def test_the_rfcs_examples(blocks):
    decoder = Decoder(1 << 16)
    assert [decoder.decode(bytes.fromhex(block)) for block in blocks] == REQUESTS


@given(LISTS, st.sampled_from([None, 0, 100, 4096]))
@settings(max_examples=60, deadline=None)
def test_what_the_library_encodes_is_read_back(lists, table_size):
    encoder, decoder = hpack.Encoder(), Decoder(1 << 16)
    for number, headers in enumerate(lists):
        if number == 1 and table_size is not None:
            encoder.header_table_size = table_size
        block = encoder.encode([hpack.NeverIndexedHeaderTuple(n, v) if s else (n, v) for n, v, s in headers])
        assert decoder.decode(block) == [(name, value) for name, value, _ in headers]


@given(LISTS)
@settings(max_examples=60, deadline=None)
def test_what_we_encode_the_library_reads_and_no_table_changes(lists):
    library, ours = hpack.Decoder(), Decoder(1 << 16)
    for headers in lists:
        plain = [(name, value) for name, value, _ in headers]
        block = hpack_encoder.encode(plain)
        assert [tuple(header) for header in library.decode(block, raw=True)] == plain
        assert ours.decode(block) == plain
    assert ours.changes == 0


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(block):
    try:
        Decoder(1 << 16).decode(block)
    except ConnectionFailed as failed:
        assert failed.code in (ErrorCode.COMPRESSION_ERROR, ErrorCode.ENHANCE_YOUR_CALM)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("80", "the index 0"),
        ("be", "an index behind the tables"),
        ("ff8080808080808001", "an integer without end"),
        ("ffffffffff0f", "an integer too large"),
        ("3fe21f", "a table larger than allowed"),
        ("8220", "a table size behind a header"),
        ("40", "a name that is not there"),
        ("400a6162", "a string longer than the block"),
        ("00016184ffffffff", "the end of a Huffman string inside of it"),
        ("00016182ffff", "Huffman padding of more than seven bits"),
    ],
)
def test_a_block_that_is_not_valid(block, why):
    with pytest.raises(ConnectionFailed) as failed:
        Decoder(1 << 16).decode(bytes.fromhex(block))
    assert failed.value.code == ErrorCode.COMPRESSION_ERROR


def test_a_bomb_of_references():
    decoder = Decoder(1 << 16)
    decoder.decode(b"\x40\x01a\x7f\xb1\x1e" + b"x" * 4016)  # nearly the whole table
    with pytest.raises(ConnectionFailed) as failed:
        decoder.decode(b"\xbe" * 70_000)
    assert (failed.value.code, failed.value.flood) == (ErrorCode.ENHANCE_YOUR_CALM, "headers")


def test_a_list_that_is_too_large_is_cut_and_the_table_stays_right():
    decoder, encoder = Decoder(200), hpack.Encoder()
    decoder.decode(encoder.encode([(b"x-a", b"1" * 100), (b"x-b", b"2" * 100)]))
    assert decoder.is_too_large
    assert decoder.decode(encoder.encode([(b"x-b", b"2" * 100)])) == [(b"x-b", b"2" * 100)]
    assert not decoder.is_too_large


def test_credentials_are_never_indexed():
    block = hpack_encoder.encode([(b"authorization", b"secret"), (b"x-open", b"1")])
    kinds = [type(header) for header in hpack.Decoder().decode(block, raw=True)]
    assert kinds == [hpack.NeverIndexedHeaderTuple, hpack.HeaderTuple]


def test_header_lines_of_http1():
    block = hpack_encoder.encode_lines(b"X-A:  1 \r\nConnection: close\r\nno colon\r\n")
    assert hpack.Decoder().decode(block, raw=True) == [(b"x-a", b"1")]
