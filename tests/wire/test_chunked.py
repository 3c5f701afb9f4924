"""Body framing: any split gives the same payload; anything that is not RFC 9112 is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.wire import chunked
from tidegate.wire.chunked import BodyError, ChunkedBody, LengthBody, UntilCloseBody

PIECES = st.lists(st.binary(min_size=1, max_size=50), max_size=8)
CUTS = st.lists(st.integers(min_value=1, max_value=40), max_size=40)


def read_all(body: chunked.Body, data: bytes, cuts: list[int]) -> tuple[bytes, bytes]:
    """Feed `data` cut into pieces; return the payload and what is left behind the body."""
    out: list[bytes] = []
    position = 0
    for cut in [*cuts, len(data)]:
        piece = data[position : position + cut]
        if not piece or body.done:
            break
        used = body.read(piece, 0, out)
        position += used
        assert used == len(piece) or body.done
    return b"".join(out), data[position:]


@given(pieces=PIECES, cuts=CUTS, rest=st.binary(max_size=20))
def test_chunked_round_trip_at_any_split(pieces: list[bytes], cuts: list[int], rest: bytes) -> None:
    encoded = b"".join(chunked.encode_chunks(pieces)) + chunked.encode_last(((b"X-Sum", b"1"),))
    body = ChunkedBody()
    assert read_all(body, encoded + rest, cuts) == (b"".join(pieces), rest)
    assert body.done
    assert body.trailers == ((b"X-Sum", b"1"),)


@given(payload=st.binary(max_size=200), cuts=CUTS, rest=st.binary(max_size=20))
def test_length_at_any_split(payload: bytes, cuts: list[int], rest: bytes) -> None:
    body = LengthBody(len(payload))
    assert read_all(body, payload + rest, cuts) == (payload, rest)
    assert body.done


def test_until_close_takes_everything() -> None:
    body, out = UntilCloseBody(), []
    assert body.read(b"xabc", 1, out) == 4
    assert (out, body.done) == ([b"abc"], False)


def test_pieces_are_not_copied_where_they_are_whole() -> None:
    data, out = b"x" * 1000, []
    LengthBody(5000).read(data, 0, out)
    assert out[0] is data
    big = b"y" * 5000
    assert chunked.encode_chunks([big, b""]) == [b"1388\r\n", big, b"\r\n"]


@given(garbage=st.binary(max_size=60), cuts=CUTS)
def test_garbage_never_does_worse_than_refuse(garbage: bytes, cuts: list[int]) -> None:
    body = ChunkedBody()
    try:
        read_all(body, garbage, cuts)
    except BodyError:
        pass


@given(garbage=st.binary(max_size=40).map(lambda tail: b"3\r\nabc\r\n" + tail), cut=st.integers(1, 45))
def test_the_verdict_does_not_depend_on_the_split(garbage: bytes, cut: int) -> None:
    def verdict(cuts: list[int]) -> object:
        body = ChunkedBody()
        try:
            return (*read_all(body, garbage, cuts), body.done, body.trailers)
        except BodyError:
            return "refused"

    whole, split = verdict([]), verdict([cut])
    if "refused" not in (whole, split):
        assert whole == split
    else:
        assert whole == split == "refused"


@pytest.mark.parametrize("line", [b"", b"g", b"0x1", b"+1", b"-1", b" 1", b"1 ", b"1_0", b"1" * 16, b"1;\x00", b"1;\r"])
def test_bad_size_lines(line: bytes) -> None:
    with pytest.raises(BodyError):
        ChunkedBody().read(line + b"\r\n", 0, [])


def test_data_behind_a_chunk_is_refused_without_waiting_for_its_line_end() -> None:
    body, out = ChunkedBody(), []
    with pytest.raises(BodyError):
        body.read(b"1\r\nab", 0, out)
    assert out == [b"a"]


def test_body_of_length() -> None:
    assert isinstance(chunked.body_of(3), LengthBody)
    assert isinstance(chunked.body_of(chunked.CHUNKED), ChunkedBody)
    assert isinstance(chunked.body_of(chunked.UNTIL_CLOSE), UntilCloseBody)
    assert chunked.body_of(0).done
    assert chunked.encode_last(()) == b"0\r\n\r\n"
