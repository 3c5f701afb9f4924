"""Joins the tensors of several requests into one batch and cuts its outputs apart again (pure).

Three forms. *strict*: only equal shapes share a batch. *padded*: variable dimensions are filled up to the longest with
`pad_value`, and `<input>_lengths` tells the model what was there. *ragged*: rows of a variable first dimension are laid
end to end, `<input>_lengths` says how long each is (what EmbeddingBag wants as offsets). Outputs have one row per input
row in every form.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Sequence

import numpy as np

from runtimes.datatypes import Array
from runtimes.failures import InferenceError, Kind, bad_input
from runtimes.tensors import Parameters, Tensor

LENGTHS = "_lengths"
_TRANSPORT = frozenset({"binary_data_output", "timeout", "priority", "headers"})


class Form(enum.Enum):
    """How requests of different lengths share a batch."""

    STRICT = "strict"
    PADDED = "padded"
    RAGGED = "ragged"


def rows_of(inputs: Sequence[Tensor]) -> int:
    """Return the rows of a request: the first dimension, which all inputs share. Raises a 400 that names the input."""
    rows = -1
    for tensor in inputs:
        shape = tensor.array.shape
        if not shape or not shape[0]:
            raise bad_input(f"input {tensor.name!r}: shape {list(shape)} has no row to run")
        if rows not in (-1, shape[0]):
            raise bad_input(f"input {tensor.name!r} has {shape[0]} rows, the inputs before it {rows}")
        rows = shape[0]
    if rows < 0:
        raise bad_input("inputs is empty")
    return rows


def key_of(inputs: Sequence[Tensor], parameters: Parameters, form: Form) -> Hashable:
    """Return what must be equal for two requests to share a batch: inputs, datatypes, shapes, and parameters that the
    model sees."""
    shapes = tuple(
        sorted((t.name, t.datatype, t.array.shape[1:] if form is Form.STRICT else t.array.ndim) for t in inputs)
    )
    if not parameters:
        return shapes
    return shapes, repr(sorted((name, value) for name, value in parameters.items() if name not in _TRANSPORT))


def join(members: Sequence[Sequence[Tensor]], form: Form, pad_value: float = 0) -> list[Tensor]:
    """Return the inputs of a batch; every member has the same names in its own order."""
    if len(members) == 1 and form is Form.STRICT:
        return list(members[0])
    by_name = [{tensor.name: tensor for tensor in member} for member in members]
    joined: list[Tensor] = []
    for first in members[0]:
        arrays = [member[first.name].array for member in by_name]
        if form is Form.STRICT or all(array.ndim == 1 for array in arrays):
            joined.append(Tensor(first.name, first.datatype, np.concatenate(arrays)))
        elif form is Form.PADDED:
            joined += _padded(first, arrays, pad_value)
        else:
            joined += _ragged(first, arrays)
    return joined


def _padded(first: Tensor, arrays: list[Array], pad_value: float) -> list[Tensor]:
    widest = tuple(max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True))
    filler = b"" if first.datatype == "BYTES" else pad_value
    filled = np.full((sum(len(array) for array in arrays), *widest), filler, dtype=arrays[0].dtype)
    lengths: list[int] = []
    position = 0
    for array in arrays:
        inner = tuple(slice(0, size) for size in array.shape[1:])
        filled[(slice(position, position + len(array)), *inner)] = array
        lengths += [array.shape[1]] * len(array)
        position += len(array)
    return [Tensor(first.name, first.datatype, filled), _lengths(first.name, lengths)]


def _ragged(first: Tensor, arrays: list[Array]) -> list[Tensor]:
    lengths = [array.shape[1] for array in arrays for _ in range(len(array))]
    end_to_end = np.concatenate([array.reshape(-1, *array.shape[2:]) for array in arrays])
    return [Tensor(first.name, first.datatype, end_to_end), _lengths(first.name, lengths)]


def _lengths(name: str, lengths: list[int]) -> Tensor:
    return Tensor(name + LENGTHS, "INT64", np.array(lengths, dtype="<i8"))


def filled_up(inputs: Sequence[Tensor], rows: int, least_rows: int) -> list[Tensor]:
    """Repeat the last row until there are `least_rows`. Some kernels sum in another order for a single row than for
    several; a floor of two makes an answer independent of its company."""
    if rows >= least_rows:
        return list(inputs)
    filled = []
    for tensor in inputs:
        more = np.repeat(tensor.array[-1:], least_rows - rows, axis=0)
        filled.append(Tensor(tensor.name, tensor.datatype, np.concatenate([tensor.array, more])))
    return filled


def split(outputs: Sequence[Tensor], sizes: Sequence[int], run_rows: int) -> list[list[Tensor]]:
    """Return each member's outputs out of those of a batch that ran with `run_rows` rows.

    Raises MODEL_FAILED when an output has not one row per input row: handing out slices would mix up answers.
    """
    for tensor in outputs:
        if not tensor.array.shape or len(tensor.array) != run_rows:
            text = f"output {tensor.name!r} has shape {list(tensor.array.shape)} for {run_rows} rows of input"
            raise InferenceError(Kind.MODEL_FAILED, f"{text}; a batch needs one output row per input row")
    if len(sizes) == 1 and sizes[0] == run_rows:
        return [list(outputs)]
    members: list[list[Tensor]] = []
    position = 0
    for size in sizes:
        stop = position + size
        members.append([Tensor(t.name, t.datatype, t.array[position:stop], dict(t.parameters)) for t in outputs])
        position = stop
    return members


def stitched(pieces: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Return the outputs of a request that was cut into parts, whole again."""
    if len(pieces) == 1:
        return list(pieces[0])
    return [
        Tensor(first.name, first.datatype, np.concatenate([piece[index].array for piece in pieces]), first.parameters)
        for index, first in enumerate(pieces[0])
    ]


def rows_between(inputs: Sequence[Tensor], start: int, stop: int) -> list[Tensor]:
    """Return the rows `start` to `stop` of a request's inputs."""
    if start == 0 and len(inputs[0].array) == stop:
        return list(inputs)
    return [Tensor(t.name, t.datatype, t.array[start:stop], t.parameters) for t in inputs]
