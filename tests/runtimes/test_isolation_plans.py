"""Worker processes, what is pure of them: pieces of memory, tensors in it, messages in a stream, pauses of restarts."""

from __future__ import annotations

import itertools
import os
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes import datatypes, tensors
from runtimes.failures import InferenceError, Kind
from runtimes.isolation import frames, packing
from runtimes.isolation.arena import Arena
from runtimes.isolation.arena_plan import PAGE_BYTES, ArenaPlan
from runtimes.isolation.packing import Packed, PackError
from runtimes.isolation.restarts import RestartLimits, Restarts
from runtimes.isolation.worker_link import end_of
from runtimes.tensors import Tensor


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5 * PAGE_BYTES), st.integers(0, 40)), max_size=60))
def test_pieces_never_overlap_and_all_of_them_come_back(steps: list[tuple[bool, int, int]]) -> None:
    plan = ArenaPlan(16 * PAGE_BYTES)
    taken: list[tuple[int, int]] = []
    for is_take, size, which in steps:
        if is_take:
            start = plan.take(size)
            if start is None:
                continue
            assert plan.size_of(start) >= size and start % PAGE_BYTES == 0
            assert start + plan.size_of(start) <= plan.size_bytes
            assert all(start + size <= other or other + length <= start for other, length in taken)
            taken.append((start, plan.size_of(start)))
        elif taken:
            plan.give_back(taken.pop(which % len(taken))[0])
        assert plan.taken_bytes == sum(length for _, length in taken)
    for start, _ in taken:
        plan.give_back(start)
    assert plan.take(16 * PAGE_BYTES) == 0, "what is free lies together again"


def test_a_full_memory_says_so_and_a_piece_is_given_back_once() -> None:
    plan = ArenaPlan(2 * PAGE_BYTES + 100)
    assert plan.size_bytes == 2 * PAGE_BYTES
    assert plan.take(3 * PAGE_BYTES) is None
    assert (plan.take(1), plan.take(PAGE_BYTES), plan.take(1)) == (0, PAGE_BYTES, None)
    plan.give_back(0)
    with pytest.raises(KeyError):
        plan.give_back(0)


def test_pages_of_free_pieces_go_back_and_others_stay() -> None:
    arena = Arena(64 * PAGE_BYTES)
    try:
        starts = [arena.take(16 * PAGE_BYTES) for _ in range(3)]
        for start in starts:
            assert start is not None
            arena.piece(start)[:] = b"x" * (16 * PAGE_BYTES)
        assert os.fstat(arena.descriptor).st_blocks * 512 == 48 * PAGE_BYTES
        arena.give_back(starts[0] or 0)
        arena.give_back(starts[2] or 0)
        arena.trim()
        assert os.fstat(arena.descriptor).st_blocks * 512 == 16 * PAGE_BYTES
        assert bytes(arena.piece(starts[1] or 0)) == b"x" * (16 * PAGE_BYTES)
    finally:
        arena.close()


def carried(tensor: Tensor) -> Tensor:
    """Return a tensor after its way through shared memory and a message."""
    said, parts, size = packing.encode([[tensor]])
    memory = memoryview(bytearray(size + 64))
    packing.write(said, parts, memory)
    (again,) = msgspec.msgpack.decode(msgspec.msgpack.encode(said[0]), type=list[Packed])
    return packing.read(again, memory)


@pytest.mark.parametrize("name", [name for name in datatypes.DATATYPES if name != "BYTES"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4)], ids=str)
def test_numbers_arrive_as_they_were(name: str, shape: tuple[int, ...]) -> None:
    count = int(np.prod(shape))
    array = np.arange(count).astype(datatypes.DATATYPES[name].numpy).reshape(shape)
    made = carried(Tensor("x", name, array, {"binary_data": True}))
    assert (made.name, made.datatype, made.parameters) == ("x", name, {"binary_data": True})
    assert made.array.dtype == array.dtype and np.array_equal(made.array, array)


def test_an_array_that_is_a_view_arrives_in_its_own_order() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T
    assert np.array_equal(carried(Tensor("x", "FP32", array)).array, array)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.binary(max_size=9) | st.text(max_size=4), max_size=6), st.lists(JSON, max_size=4))
def test_texts_and_rows_arrive_as_they_were(texts: list[Any], rows: list[Any]) -> None:
    assert carried(tensors.of_objects("t", "BYTES", texts)).array.tolist() == texts
    made = carried(tensors.of_objects("r", tensors.JSON, rows))
    assert (made.datatype, made.array.tolist()) == (tensors.JSON, rows)


def test_what_no_message_carries_is_refused_by_name() -> None:
    for value in (1 << 70, object()):
        with pytest.raises(InferenceError, match="'big'") as caught:
            packing.encode([[tensors.of_objects("big", tensors.JSON, [value])]])
        assert caught.value.kind is Kind.BAD_INPUT


@pytest.mark.parametrize(
    "said",
    [
        Packed("x", "FP32", "<f4", (4,), 56, 16, {}),
        Packed("x", "FP32", "<f4", (4,), -8, 16, {}),
        Packed("x", "FP32", "<f4", (5,), 0, 16, {}),
        Packed("x", "FP32", "O", (2,), 0, 16, {}),
        Packed("x", "FP32", "no dtype", (2,), 0, 16, {}),
        Packed("x", "NONE", "<f4", (4,), 0, 16, {}),
        Packed("x", "BYTES", "", (4,), 0, 16, {}),
    ],
)
def test_what_a_worker_says_of_its_memory_is_checked(said: Packed) -> None:
    with pytest.raises(PackError, match="'x'"):
        packing.read(said, memoryview(bytearray(64)))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.lists(st.integers(0, 200), max_size=12))
def test_messages_arrive_whole_however_the_stream_is_cut(numbers: list[int], cuts: list[int]) -> None:
    stream = b"".join(frames.framed(frames.Next(number)) for number in numbers)
    reader = frames.FrameReader()
    found: list[bytes] = []
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        found += reader.feed(stream[start:end])
    assert [frames.decode_to_worker(each) for each in found] == [frames.Next(number) for number in numbers]


def test_a_message_that_is_too_large_is_no_message() -> None:
    with pytest.raises(frames.FrameError):
        list(frames.FrameReader().feed(b"\xff\xff\xff\xff"))
    with pytest.raises(frames.FrameError):
        frames.framed(frames.Refused("x" * (frames.FRAME_LIMIT_BYTES + 1)))


def test_restarts_come_later_each_time_and_end() -> None:
    limits = RestartLimits(most=4, first_pause_s=1.0, longest_pause_s=5.0, settled_after_s=60.0)
    restarts = Restarts()
    assert [restarts.ended(1.0, limits) for _ in range(6)] == [1.0, 2.0, 4.0, 5.0, None, None]
    assert restarts.ended(60.0, limits) == 1.0, "it had lived long: what was before is forgotten"


@pytest.mark.parametrize(
    ("code", "word", "text"),
    [
        (0, "exit", "exited with code 0"),
        (3, "exit", "exited with code 3"),
        (-11, "SIGSEGV", "was killed by SIGSEGV"),
        (-99, "signal 99", "was killed by signal 99"),
    ],
)
def test_an_exit_code_in_words(code: int, word: str, text: str) -> None:
    assert end_of(code) == (word, text)
