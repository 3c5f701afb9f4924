"""A tensor inside the server, and its three forms on the wire: JSON values, raw bytes, typed gRPC contents (pure).

What arrives is checked here, element type by element type: JSON's 1.5 is no INT32, 300 no UINT8, "1" no number. The
errors name the tensor. Arrays made from raw bytes share the request's memory and are read-only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runtimes import datatypes
from runtimes.datatypes import Array, Datatype
from runtimes.failures import bad_input

Parameters = dict[str, Any]
ELEMENT_LIMIT = 1 << 31
RANK_LIMIT = 32


@dataclass(slots=True)
class Tensor:
    """One named array with its protocol datatype; the array's shape is the tensor's."""

    name: str
    datatype: str
    array: Array
    parameters: Parameters = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return self.array.shape


def of_array(name: str, value: Any, datatype: str = "") -> Tensor:
    """Return a tensor of what a model gave: an array, a list or a scalar, as `datatype` when that is declared.

    Raises TypeError when no datatype holds it, ValueError when it does not fit the declared one.
    """
    array = value if isinstance(value, np.ndarray) else np.asarray(value)
    if not datatype:
        return Tensor(name, datatypes.of_array(array).name, array)
    wanted = datatypes.DATATYPES[datatype].numpy
    return Tensor(name, datatype, array if array.dtype == wanted else array.astype(wanted))


JSON = "JSON"
"""Datatype of rows that a model takes as JSON gave them: inside the server only, no protocol names it."""


def of_objects(name: str, datatype: str, values: Sequence[Any]) -> Tensor:
    """Return a tensor with one element per value, whatever the values are (numpy would look into lists)."""
    array = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        array[position] = value
    return Tensor(name, datatype, array)


def checked_shape(shape: Sequence[int], tensor: str) -> int:
    """Return the number of elements of a shape; raises a 400 for one that cannot be."""
    if len(shape) > RANK_LIMIT or any(size < 0 for size in shape):
        raise bad_input(f"input {tensor!r}: shape {list(shape)} is not valid")
    count = math.prod(shape)
    if count > ELEMENT_LIMIT:
        raise bad_input(f"input {tensor!r}: shape {list(shape)} has more than {ELEMENT_LIMIT} elements")
    return count


def from_json(name: str, datatype: str, shape: Sequence[int], data: Any) -> Tensor:
    """Return the tensor of JSON values, nested or flat, row by row; raises a 400 that names it."""
    kind = datatypes.named(datatype, name)
    count = checked_shape(shape, name)
    if not kind.has_json:
        raise bad_input(f"input {name!r}: {datatype} has no JSON form; send it as binary data")
    if type(data) is not list:
        data = [data]
    array = _bytes_of_json(name, data) if kind is datatypes.BYTES else _numbers_of_json(name, kind, data)
    if array.size != count:
        raise bad_input(f"input {name!r}: shape {list(shape)} needs {count} values, data has {array.size}")
    return Tensor(name, datatype, array.reshape(shape))


def _numbers_of_json(name: str, kind: Datatype, data: list[Any]) -> Array:
    try:
        natural = np.array(data)
    except (ValueError, OverflowError) as error:
        raise bad_input(f"input {name!r}: data is not rectangular") from error
    if natural.dtype == kind.numpy or not natural.size:
        return natural.astype(kind.numpy, copy=False)
    if kind.is_float and natural.dtype.kind in "fiu":
        with np.errstate(over="ignore"):
            return natural.astype(kind.numpy)
    if kind.is_float or kind.numpy.kind == "b" or natural.dtype.kind not in "iuf":
        raise bad_input(f"input {name!r}: data holds values that are not {kind.name}")
    return _whole_numbers(name, kind, data)


def _whole_numbers(name: str, kind: Datatype, data: list[Any]) -> Array:
    # numpy makes floats of integers beyond 64 bits or of mixed signs: look at the values as they came.
    values = np.array(data, dtype=object)
    limits = np.iinfo(kind.numpy)
    for value in values.ravel().tolist():
        if type(value) is not int or not limits.min <= value <= limits.max:
            raise bad_input(f"input {name!r}: {value!r} is not {kind.name}")
    return values.astype(kind.numpy)


def _bytes_of_json(name: str, data: list[Any]) -> Array:
    texts: list[bytes] = []

    def walk(value: Any) -> None:
        if type(value) is str:
            texts.append(value.encode("utf-8", "surrogatepass"))
        elif type(value) is list:
            for each in value:
                walk(each)
        else:
            raise bad_input(f"input {name!r}: BYTES in JSON are text, not {value!r:.40}")

    walk(data)
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


def from_raw(name: str, datatype: str, shape: Sequence[int], raw: bytes | memoryview) -> Tensor:
    """Return the tensor of raw bytes; raises a 400 that names it when the size does not fit the shape."""
    kind = datatypes.named(datatype, name)
    count = checked_shape(shape, name)
    if kind is datatypes.BYTES:
        if count > len(raw) // 4:  # each element has four bytes of length: nothing is reserved for a false claim
            raise bad_input(f"input {name!r}: {count} BYTES elements do not fit {len(raw)} bytes")
        return Tensor(name, datatype, datatypes.decode_elements(raw, count, name).reshape(shape))
    expected = count * kind.size_bytes
    if len(raw) != expected:
        text = f"shape {list(shape)} of {datatype} needs {expected} bytes, got {len(raw)}"
        raise bad_input(f"input {name!r}: {text}")
    array = datatypes.decode_bf16(raw) if kind is datatypes.BF16 else np.frombuffer(raw, dtype=kind.numpy)
    return Tensor(name, datatype, array.reshape(shape))


def to_json(tensor: Tensor) -> list[Any]:
    """Return the values, flat, row by row; raises ValueError for what JSON cannot carry."""
    kind = datatypes.DATATYPES[tensor.datatype]
    if not kind.has_json:
        raise ValueError(f"output {tensor.name!r}: {tensor.datatype} has no JSON form; ask for binary_data")
    values: list[Any] = tensor.array.ravel().tolist()
    if kind is not datatypes.BYTES:
        return values
    try:
        return [value if type(value) is str else datatypes.as_bytes(value).decode() for value in values]
    except UnicodeDecodeError as error:
        raise ValueError(f"output {tensor.name!r}: its bytes are not UTF-8; ask for binary_data") from error


def to_raw(tensor: Tensor) -> bytes:
    """Return the raw bytes of the values."""
    if tensor.datatype == "BYTES":
        return datatypes.encode_elements(tensor.array)
    if tensor.datatype == "BF16":
        return datatypes.encode_bf16(tensor.array)
    wanted = datatypes.DATATYPES[tensor.datatype].numpy
    return np.ascontiguousarray(tensor.array, dtype=wanted).tobytes()
