"""Tensors as bytes in shared memory, and what a message says of them (pure).

Numbers lie there as numpy has them. Elements of BYTES tensors and rows of JSON are one msgpack list: no pickles, since
a worker runs code that the server does not trust. What a worker says of its memory is checked before it is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from runtimes import datatypes
from runtimes.failures import InferenceError, Kind
from runtimes.tensors import JSON, Parameters, Tensor

ALIGN_BYTES = 64
_NUMBERS = "biuf"
"""numpy's kinds that lie in memory as they are; texts and objects go as a list"""


class Packed(msgspec.Struct, array_like=True, frozen=True):
    """Where a tensor lies: `start` counts from the begin of its piece. `dtype` is numpy's word, empty for a list."""

    name: str
    datatype: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size_bytes: int
    parameters: Parameters


class PackError(ValueError):
    """What was said of a tensor cannot be."""


def encode(lists: Sequence[Sequence[Tensor]]) -> tuple[list[list[Packed]], list[Any], int]:
    """Return what to say of the tensors, their bytes in order, and how much room they need.

    Raises BAD_INPUT for an element that cannot be carried (a whole number beyond 64 bits).
    """
    said: list[list[Packed]] = []
    parts: list[Any] = []
    end = 0
    for tensors in lists:
        packed = []
        for tensor in tensors:
            start = aligned(end)
            content = _content(tensor)
            size = content.nbytes if isinstance(content, np.ndarray) else len(content)
            dtype = content.dtype.str if isinstance(content, np.ndarray) else ""
            shape = tuple(tensor.array.shape)
            packed.append(Packed(tensor.name, tensor.datatype, dtype, shape, start, size, tensor.parameters))
            parts.append(content)
            end = start + size
        said.append(packed)
    return said, parts, end


def aligned(size_bytes: int) -> int:
    """Return where the next tensor may begin after this many bytes."""
    return -(-size_bytes // ALIGN_BYTES) * ALIGN_BYTES


def write(said: Sequence[Sequence[Packed]], parts: Sequence[Any], piece: memoryview) -> None:
    """Copy the bytes of `encode` to their places in `piece`."""
    every = [packed for tensors in said for packed in tensors]
    for packed, content in zip(every, parts, strict=True):
        target = piece[packed.start : packed.start + packed.size_bytes]
        if isinstance(content, np.ndarray):
            if content.size:
                np.frombuffer(target, content.dtype).reshape(content.shape)[...] = content
        else:
            target[:] = content


def read(packed: Packed, piece: memoryview) -> Tensor:
    """Return a tensor on the memory of `piece`; raises PackError when it cannot be what is said."""
    if packed.start < 0 or packed.size_bytes < 0 or packed.start + packed.size_bytes > len(piece):
        raise PackError(f"tensor {packed.name!r} lies outside of its memory")
    content = piece[packed.start : packed.start + packed.size_bytes]
    known = datatypes.DATATYPES.get(packed.datatype)
    if known is None and packed.datatype != JSON:
        raise PackError(f"tensor {packed.name!r}: datatype {packed.datatype!r} is unknown")
    try:
        array = _numbers(packed, content) if packed.dtype else _objects(packed, content)
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise PackError(f"tensor {packed.name!r}: {error}") from error
    return Tensor(packed.name, packed.datatype, array, packed.parameters)


def _content(tensor: Tensor) -> Any:
    if tensor.array.dtype.kind in _NUMBERS:
        return tensor.array
    try:
        return msgspec.msgpack.encode(tensor.array.ravel().tolist(), enc_hook=_plain)
    except (OverflowError, TypeError, NotImplementedError) as error:
        raise InferenceError(Kind.BAD_INPUT, f"input {tensor.name!r} cannot be sent to the worker: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in a message")


def _numbers(packed: Packed, content: memoryview) -> Any:
    dtype = np.dtype(packed.dtype)
    if dtype.kind not in _NUMBERS:
        raise PackError(f"tensor {packed.name!r}: {packed.dtype!r} are no numbers")
    if not packed.size_bytes:
        return np.empty(packed.shape, dtype)
    return np.frombuffer(content, dtype).reshape(packed.shape)


def _objects(packed: Packed, content: memoryview) -> Any:
    values = msgspec.msgpack.decode(content, type=list)
    array = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        array[position] = value
    return array.reshape(packed.shape)
