"""The datatypes of the Open Inference Protocol: sizes, numpy types, gRPC content fields; BYTES and BF16 codecs (pure).

Bytes on the wire are little-endian and row-major. A BYTES element is four bytes of length and its content. numpy has no
BF16: such tensors are float32 arrays inside the process, which hold every BF16 value exactly.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from runtimes.failures import bad_input

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Datatype:
    """One datatype: bytes per element on the wire (0: variable), numpy type in memory, field of InferTensorContents."""

    name: str
    size_bytes: int
    numpy: np.dtype[Any]
    contents: str
    is_float: bool = False
    has_json: bool = True


def _numbers(name: str, size_bytes: int, code: str, contents: str) -> Datatype:
    return Datatype(name, size_bytes, np.dtype(code), contents)


BF16 = Datatype("BF16", 2, np.dtype("<f4"), "", is_float=True, has_json=False)
BYTES = Datatype("BYTES", 0, np.dtype(object), "bytes_contents")

DATATYPES = {
    each.name: each
    for each in (
        _numbers("BOOL", 1, "?", "bool_contents"),
        _numbers("UINT8", 1, "<u1", "uint_contents"),
        _numbers("UINT16", 2, "<u2", "uint_contents"),
        _numbers("UINT32", 4, "<u4", "uint_contents"),
        _numbers("UINT64", 8, "<u8", "uint64_contents"),
        _numbers("INT8", 1, "<i1", "int_contents"),
        _numbers("INT16", 2, "<i2", "int_contents"),
        _numbers("INT32", 4, "<i4", "int_contents"),
        _numbers("INT64", 8, "<i8", "int64_contents"),
        Datatype("FP16", 2, np.dtype("<f2"), "", is_float=True, has_json=False),
        BF16,
        Datatype("FP32", 4, np.dtype("<f4"), "fp32_contents", is_float=True),
        Datatype("FP64", 8, np.dtype("<f8"), "fp64_contents", is_float=True),
        BYTES,
    )
}
_BY_NUMPY = {each.numpy: each for each in DATATYPES.values() if each not in (BF16, BYTES)}
_LENGTH = struct.Struct("<I")


def named(name: str, tensor: str) -> Datatype:
    """Return the datatype called `name`; raises a 400 that names the tensor."""
    found = DATATYPES.get(name)
    if found is None:
        raise bad_input(f"input {tensor!r}: datatype {name!r} is unknown; use one of {', '.join(DATATYPES)}")
    return found


def of_array(array: Array) -> Datatype:
    """Return the datatype that a numpy array is sent as; strings and objects are BYTES. Raises TypeError for others."""
    found = _BY_NUMPY.get(array.dtype.newbyteorder("<"))
    if found is not None:
        return found
    if array.dtype.kind in "OSU":
        return BYTES
    raise TypeError(f"no datatype of the protocol holds numpy's {array.dtype}")


def decode_elements(raw: bytes | memoryview, count: int, tensor: str) -> Array:
    """Return `count` byte strings out of length-prefixed elements; raises a 400 when they do not fill `raw` exactly."""
    elements = np.empty(count, dtype=object)
    view = memoryview(raw)
    position, size = 0, len(view)
    for index in range(count):
        end = position + 4
        if end > size:
            raise bad_input(f"input {tensor!r}: {count} BYTES elements are declared and the data ends at {index}")
        position = end + _LENGTH.unpack_from(view, end - 4)[0]
        if position > size:
            raise bad_input(f"input {tensor!r}: BYTES element {index} reaches beyond the data")
        elements[index] = bytes(view[end:position])
    if position != size:
        raise bad_input(f"input {tensor!r}: {size - position} bytes are left after {count} BYTES elements")
    return elements


def encode_elements(array: Array) -> bytes:
    """Return the elements of an array of bytes or text as length-prefixed bytes."""
    pieces: list[bytes] = []
    for element in array.ravel().tolist():
        content = as_bytes(element)
        pieces += (_LENGTH.pack(len(content)), content)
    return b"".join(pieces)


def as_bytes(element: Any) -> bytes:
    """Return a BYTES element as bytes: text is written as UTF-8, anything else as its text."""
    if isinstance(element, bytes):
        return element
    return (element if isinstance(element, str) else str(element)).encode()


def decode_bf16(raw: bytes | memoryview) -> Array:
    """Return float32 values of BF16 bytes: the upper half of a float32's bits."""
    halves = np.frombuffer(raw, dtype="<u2").astype("<u4")
    return (halves << np.uint32(16)).view("<f4")


def encode_bf16(array: Array) -> bytes:
    """Return BF16 bytes of float32 values, rounded to nearest, ties to even; NaN stays NaN."""
    values = np.ascontiguousarray(array, dtype="<f4").ravel()
    bits = values.view("<u4")
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    halves = np.where(np.isnan(values), np.uint32(0x7FC0), rounded)
    return halves.astype("<u2").tobytes()
