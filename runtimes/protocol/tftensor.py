"""TensorFlow's TensorProto in its JSON form, to and from this server's tensors (pure).

Field names and types are those of tensorflow/core/framework/tensor.proto by protobuf's JSON rules: `dtype` is a name or
a number, sizes and 64-bit values may be texts, `tensorContent` is base64 of little-endian values, and a list with one
value stands for a tensor full of it.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import numpy as np

from runtimes import tensors
from runtimes.failures import bad_input
from runtimes.tensors import Tensor

ELEMENTS_LIMIT, FILLED_LIMIT = 1 << 26, 1 << 20
"""The latter: elements that are not in the message, which one value stands for."""
_TYPES: dict[str, tuple[int, str, str]] = {
    "DT_FLOAT": (1, "floatVal", "float32"),
    "DT_DOUBLE": (2, "doubleVal", "float64"),
    "DT_INT32": (3, "intVal", "int32"),
    "DT_UINT8": (4, "intVal", "uint8"),
    "DT_INT16": (5, "intVal", "int16"),
    "DT_INT8": (6, "intVal", "int8"),
    "DT_STRING": (7, "stringVal", "object"),
    "DT_INT64": (9, "int64Val", "int64"),
    "DT_BOOL": (10, "boolVal", "bool"),
    "DT_UINT16": (17, "intVal", "uint16"),
    "DT_UINT32": (22, "uint32Val", "uint32"),
    "DT_UINT64": (23, "uint64Val", "uint64"),
}
"""Name of the type -> its number, the field of its values, numpy's type."""
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
"""By protobuf's JSON."""
_NAMES = {number: name for name, (number, _, _) in _TYPES.items()}
_OF_NUMPY = {numpy: name for name, (_, _, numpy) in _TYPES.items()}
_SNAKE: dict[str, str] = {"tensor_shape": "tensorShape", "tensor_content": "tensorContent"} | {
    "".join(f"_{c.lower()}" if c.isupper() else c for c in camel): camel for _, camel, _ in _TYPES.values()
}


def decode(document: Any, name: str) -> Tensor:
    """Return the tensor of a decoded TensorProto; raises a 400 that names the field."""
    if not isinstance(document, dict):
        raise bad_input("data.tftensor is not an object")
    said: dict[str, Any] = {_SNAKE.get(key, str(key)): value for key, value in document.items()}
    kind = said.get("dtype", 0)
    kind = _NAMES.get(kind, "") if isinstance(kind, int) else str(kind)
    if kind not in _TYPES:
        raise bad_input(f"data.tftensor.dtype {said.get('dtype')!r} is not one of {', '.join(_TYPES)}")
    _, field, numpy = _TYPES[kind]
    try:
        shape = _shape(said.get("tensorShape"))
        array = _content(said["tensorContent"], numpy) if said.get("tensorContent") else _listed(said, field, numpy)
        wanted = math.prod(shape)
        if wanted > ELEMENTS_LIMIT:
            raise ValueError(f"more than {ELEMENTS_LIMIT} elements")
        if len(array) < wanted and not said.get("tensorContent"):
            if wanted - len(array) > FILLED_LIMIT:
                raise ValueError(f"one value stands for at most {FILLED_LIMIT} elements")
            # The last value stands for all that follow; none at all for the type's zero.
            last = array[-1:] if len(array) else np.array([b"" if numpy == "object" else 0], dtype=numpy)
            array = np.concatenate([array, np.repeat(last, wanted - len(array))])
        return tensors.of_array(name, array.reshape(shape))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, binascii.Error) as error:
        raise bad_input(f"data.tftensor: {error}") from error


def encode(tensor: Tensor) -> dict[str, Any]:
    """Return a tensor as a TensorProto; types that TensorFlow has otherwise (FP16, BF16) become floats."""
    array = tensor.array
    if array.dtype.name not in _OF_NUMPY:
        array = array.astype("float32")
    kind = _OF_NUMPY[array.dtype.name]
    field = _TYPES[kind][1]
    values = array.ravel().tolist()
    if kind in ("DT_FLOAT", "DT_DOUBLE") and not np.isfinite(array).all():
        values = [each if math.isfinite(each) else _NOT_FINITE[str(each)] for each in values]
    if kind == "DT_STRING":
        values = [base64.b64encode(each if isinstance(each, bytes) else str(each).encode()).decode() for each in values]
    elif field in ("int64Val", "uint64Val"):
        values = [str(each) for each in values]
    dims = [{"size": str(size)} for size in array.shape]
    return {"dtype": kind, "tensorShape": {"dim": dims}, field: values}


def _shape(said: Any) -> tuple[int, ...]:
    if isinstance(said, dict) and said.get("unknownRank", said.get("unknown_rank")):
        raise ValueError("tensorShape has no rank")
    sizes = tuple(int(each.get("size", 0)) for each in (said or {}).get("dim", []))
    if any(size < 0 for size in sizes):
        raise ValueError(f"tensorShape {list(sizes)} has a negative size")
    return sizes


def _content(said: Any, numpy: str) -> Any:
    if numpy == "object":
        raise ValueError("tensorContent cannot carry texts; use stringVal")
    content = base64.b64decode(said, validate=True)
    return np.frombuffer(content, dtype=np.dtype(numpy).newbyteorder("<")).astype(numpy)


def _listed(said: dict[str, Any], field: str, numpy: str) -> Any:
    values = said.get(field) or []
    if numpy == "object":
        return np.array([base64.b64decode(each, validate=True) for each in values], dtype=object)
    if numpy.startswith(("int", "uint")):
        values = [int(each) for each in values]
    if numpy == "bool" and any(not isinstance(each, bool) for each in values):
        raise ValueError(f"{field} has true and false alone")
    return np.array(values, dtype=numpy)
