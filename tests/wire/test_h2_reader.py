"""Frames out of bytes: however they are cut, and what is no frame at all."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.wire import h2_frames as frames
from tidegate.wire.h2_frames import ConnectionFailed, ErrorCode
from tidegate.wire.h2_reader import FrameReader
from tidegate.wire.h2_settings import PeerSettings

SETTINGS = frames.settings({frames.INITIAL_WINDOW_SIZE: 1000})


class Recorder:
    """Remembers what it was handed."""

    is_lost = False

    def __init__(self):
        self.seen = []

    def on_data(self, stream_id, data, size, is_end):
        self.seen.append(("data", stream_id, data, size, is_end))

    def on_headers(self, stream_id, block, is_end):
        self.seen.append(("headers", stream_id, block, is_end))

    def on_reset(self, stream_id, code):
        self.seen.append(("reset", stream_id, code))

    def on_settings(self, payload):
        self.seen.append(("settings", payload))

    def on_settings_ack(self):
        self.seen.append(("settings_ack",))

    def on_ping(self, payload, is_ack):
        self.seen.append(("ping", payload, is_ack))

    def on_goaway(self, last_stream_id, code):
        self.seen.append(("goaway", last_stream_id, code))

    def on_window(self, stream_id, count):
        self.seen.append(("window", stream_id, count))

    def on_ignored(self, stream_id):
        self.seen.append(("ignored", stream_id))

    def on_stream_error(self, stream_id, code):
        self.seen.append(("stream_error", stream_id, code))


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return frames.head(len(payload), kind, flags, stream_id) + payload


def read(*pieces: bytes, expects_preface: bool = False):
    sink = Recorder()
    reader = FrameReader(sink, expects_preface=expects_preface, limit_bytes=1 << 16)
    for piece in pieces:
        reader.feed(piece)
    return sink.seen


FRAMES = [
    (SETTINGS, ("settings", struct.pack(">HL", 4, 1000))),
    (frames.SETTINGS_ACK, ("settings_ack",)),
    (frame(0, 0, 1, b"abc"), ("data", 1, b"abc", 3, False)),
    (frame(0, 1, 1), ("data", 1, b"", 0, True)),
    (frame(0, 9, 3, b"\x02abc\0\0"), ("data", 3, b"abc", 6, True)),
    (frame(0, 8, 3, b"\x00"), ("data", 3, b"", 1, False)),
    (frame(1, 4, 5, b"block"), ("headers", 5, b"block", False)),
    (frame(1, 5, 5, b"block"), ("headers", 5, b"block", True)),
    (frame(1, 0x2D, 5, b"\x01" + bytes(5) + b"block" + b"\0"), ("headers", 5, b"block", True)),
    (frame(1, 1, 5, b"bl") + frame(9, 0, 5, b"o") + frame(9, 4, 5, b"ck"), ("headers", 5, b"block", True)),
    (frames.headers(5, b"x" * 40_000, 1, 1 << 14), ("headers", 5, b"x" * 40_000, True)),
    (frame(2, 0, 7, bytes(5)), ("ignored", 7)),
    (frame(2, 0, 7, bytes(4)), ("stream_error", 7, ErrorCode.FRAME_SIZE_ERROR)),
    (frames.rst_stream(9, 8), ("reset", 9, 8)),
    (frames.ping(b"12345678", is_ack=False), ("ping", b"12345678", False)),
    (frames.ping(b"12345678", is_ack=True), ("ping", b"12345678", True)),
    (frames.goaway(7, 11, b"why"), ("goaway", 7, 11)),
    (frames.window_update(0, 5), ("window", 0, 5)),
    (frame(8, 0, 3, b"\x80\x00\x00\x05"), ("window", 3, 5)),
    (frame(0xFA, 0xFF, 3, b"whatever"), ("ignored", 3)),
    (frames.HEAD.pack(0, 1, 0, 0, 0x80000001) + b"x", ("data", 1, b"x", 1, False)),
]


@pytest.mark.parametrize(("data", "seen"), FRAMES)
def test_a_frame_is_read(data, seen):
    assert read(SETTINGS + data)[1:] == [seen]


@given(st.lists(st.integers(0, 300), max_size=30))
@settings(max_examples=50, deadline=None)
def test_a_stream_of_frames_is_the_same_however_it_is_cut(sizes):
    whole = frames.PREFACE + SETTINGS + b"".join(data for data, _ in FRAMES if len(data) < 1000)
    pieces, position = [], 0
    for size in sizes:
        pieces.append(whole[position : position + size])
        position += size
    pieces.append(whole[position:])
    assert read(*pieces, expects_preface=True) == read(whole, expects_preface=True)


def test_what_follows_the_end_is_not_read():
    sink = Recorder()
    sink.on_reset = lambda *_: setattr(sink, "is_lost", True)
    FrameReader(sink, expects_preface=False, limit_bytes=1 << 16).feed(SETTINGS + frames.rst_stream(1, 0) + SETTINGS)
    assert len(sink.seen) == 1


PROTOCOL, SIZE = ErrorCode.PROTOCOL_ERROR, ErrorCode.FRAME_SIZE_ERROR


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(0, 0, 0, b"a"), PROTOCOL),
        (frame(1, 4, 0, b"a"), PROTOCOL),
        (frame(2, 0, 0, bytes(5)), PROTOCOL),
        (frame(3, 0, 0, bytes(4)), PROTOCOL),
        (frame(9, 4, 0), PROTOCOL),
        (frame(4, 0, 1), PROTOCOL),
        (frame(6, 0, 1, bytes(8)), PROTOCOL),
        (frame(7, 0, 1, bytes(8)), PROTOCOL),
        (frame(3, 0, 1, bytes(3)), SIZE),
        (frame(4, 1, 0, bytes(6)), SIZE),
        (frame(6, 0, 0, bytes(7)), SIZE),
        (frame(7, 0, 0, bytes(7)), SIZE),
        (frame(8, 0, 0, bytes(3)), SIZE),
        (frame(8, 0, 1, bytes(5)), SIZE),
        (frame(0, 8, 1), SIZE),
        (frame(0, 8, 1, b"\x01"), PROTOCOL),
        (frame(0, 8, 1, b"\x05abc"), PROTOCOL),
        (frame(1, 0x0C, 1, b"\x05abc"), PROTOCOL),
        (frame(1, 0x24, 1, bytes(4)), SIZE),
        (frame(5, 4, 1, bytes(8)), PROTOCOL),
        (frame(9, 4, 1), PROTOCOL),
        (frame(1, 0, 1) + frame(9, 4, 3), PROTOCOL),
        (frame(1, 0, 1) + frame(0, 0, 1, b"a"), PROTOCOL),
        (frame(1, 0, 1) + frame(1, 4, 1), PROTOCOL),
        (frame(1, 0, 1) + frame(0xFA, 0, 1), PROTOCOL),
        (frame(1, 0, 1) + SETTINGS, PROTOCOL),
        (frames.head((1 << 16) + 1, 0, 0, 1), SIZE),
        (frame(1, 0, 1) + frame(9, 0, 1) * 40, ErrorCode.ENHANCE_YOUR_CALM),
        (frame(1, 0, 1) + frame(9, 0, 1, bytes(60_000)) * 5, ErrorCode.ENHANCE_YOUR_CALM),
    ],
)
def test_what_rfc_9113_calls_an_error_of_the_connection(data, code):
    with pytest.raises(ConnectionFailed) as failed:
        read(SETTINGS + data)
    assert failed.value.code == code


@pytest.mark.parametrize(
    "data", [frame(6, 0, 0, bytes(8)), frames.SETTINGS_ACK, frame(1, 4, 1, b"\x82"), frame(0, 0, 1)]
)
def test_the_first_frame_is_settings(data):
    with pytest.raises(ConnectionFailed) as failed:
        read(data)
    assert failed.value.code == PROTOCOL


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", frames.PREFACE[:-1] + b"x"])
def test_a_server_expects_the_preface(data):
    with pytest.raises(ConnectionFailed):
        read(data, expects_preface=True)


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        (frames.INITIAL_WINDOW_SIZE, 1 << 31, ErrorCode.FLOW_CONTROL_ERROR),
        (frames.MAX_FRAME_SIZE, (1 << 14) - 1, PROTOCOL),
        (frames.MAX_FRAME_SIZE, 1 << 24, PROTOCOL),
        (frames.ENABLE_PUSH, 2, PROTOCOL),
    ],
)
def test_settings_out_of_bounds(key, value, code):
    with pytest.raises(ConnectionFailed) as failed:
        PeerSettings().take(struct.pack(">HL", key, value), from_server=False)
    assert failed.value.code == code


def test_settings_take_effect_in_their_order():
    peer = PeerSettings()
    payload = b"".join(struct.pack(">HL", *pair) for pair in [(4, 10), (99, 1), (3, 7), (5, 1 << 15), (1, 0), (4, 100)])
    assert peer.take(payload, from_server=True) == 100 - 65_535
    assert (peer.window_bytes, peer.streams_limit, peer.frame_limit) == (100, 7, 1 << 15)
    assert peer.has_shrunk_table
    with pytest.raises(ConnectionFailed):
        peer.take(payload[:-1], from_server=True)
    with pytest.raises(ConnectionFailed):
        PeerSettings().take(struct.pack(">HL", frames.ENABLE_PUSH, 1), from_server=True)
