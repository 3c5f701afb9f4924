"""The V1 protocol: `instances` in rows or `inputs` in columns to tensors, and outputs back to the same form (pure).

As TensorFlow Serving has it: rows `{"instances": [...]}` answer `{"predictions": [...]}`, columns `{"inputs": ...}`
answer `{"outputs": ...}`; a row of several named inputs is an object; `{"b64": "..."}` is binary. What a model declares
gives the types; without a declaration numbers keep JSON's.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec
import numpy as np

from runtimes import tensors
from runtimes.failures import bad_input
from runtimes.messages import InferRequest, InferResponse, ModelSpec, TensorSpec
from runtimes.protocol.v2_rest import read_json
from runtimes.tensors import Tensor

ANONYMOUS = "instances"
"""The name of the only input of a model that declares none."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Document(msgspec.Struct):
    """A V1 body: `is_row` says which form the answer takes; `content` is what stood under it; `extra` all other
    keys."""

    is_row: bool
    content: Any
    extra: dict[str, Any]


def decode_document(body: bytes) -> Document:
    """Return what a body asks; raises a 400 that says what is missing."""
    document = read_json(_decode, body)
    if not isinstance(document, dict):
        raise bad_input('the body is not an object; write {"instances": [...]} or {"inputs": ...}')
    extra = {name: value for name, value in document.items() if name not in ("instances", "inputs")}
    if "instances" in document:
        if "inputs" in document:
            raise bad_input("write instances (rows) or inputs (columns), not both")
        if not isinstance(document["instances"], list):
            raise bad_input("instances is not a list")
        return Document(True, document["instances"], extra)
    if "inputs" in document:
        return Document(False, document["inputs"], extra)
    raise bad_input('the body has neither instances nor inputs: write {"instances": [...]} or {"inputs": ...}')


def to_request(document: Document, model_name: str, model_version: str, spec: ModelSpec) -> InferRequest:
    """Return the request of a V1 document; raises a 400 that names the input."""
    columns = _columns_of_rows(document.content, spec) if document.is_row else _columns(document.content, spec)
    declared = {each.name: each for each in spec.inputs}
    inputs = [_tensor(name, values, declared.get(name)) for name, values in columns.items()]
    parameters = {name: value for name, value in document.extra.items() if name != "signature_name"}
    return InferRequest(model_name, inputs, model_version, parameters=parameters)


def _columns_of_rows(rows: list[Any], spec: ModelSpec) -> dict[str, Any]:
    if not rows:
        raise bad_input("instances is empty")
    if isinstance(rows[0], dict) and "b64" not in rows[0]:
        names = list(rows[0])
        for position, row in enumerate(rows):
            if not isinstance(row, dict) or row.keys() != rows[0].keys():
                raise bad_input(f"instances[{position}] has not the same inputs as instances[0]")
        return {name: [row[name] for row in rows] for name in names}
    return {_only_input(spec): rows}


def _columns(content: Any, spec: ModelSpec) -> dict[str, Any]:
    if isinstance(content, dict) and "b64" not in content:
        return content
    return {_only_input(spec): content}


def _only_input(spec: ModelSpec) -> str:
    if len(spec.inputs) > 1:
        names = ", ".join(each.name for each in spec.inputs)
        raise bad_input(f"the model has several inputs: name them ({names})")
    return spec.inputs[0].name if spec.inputs else ANONYMOUS


def _tensor(name: str, values: Any, declared: TensorSpec | None) -> Tensor:
    values = _with_binary(values)
    if declared is not None:
        return _declared(name, values, declared)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise bad_input(f"input {name!r}: data is not rectangular") from error
    if array.dtype.kind in "SU" or _holds_text(array):
        return Tensor(name, "BYTES", _texts(values))
    if array.dtype.kind == "O":
        raise bad_input(f"input {name!r}: values are neither numbers nor text")
    return tensors.of_array(name, array)


def _declared(name: str, values: Any, declared: TensorSpec) -> Tensor:
    if declared.datatype == "BYTES":
        return Tensor(name, "BYTES", _texts(values))
    try:
        shape = np.shape(values)
    except ValueError as error:
        raise bad_input(f"input {name!r}: data is not rectangular") from error
    # FP16 and BF16 have no JSON form in V2; V1 knows only numbers, so they are read as FP32 and narrowed.
    narrow = declared.datatype in ("FP16", "BF16")
    tensor = tensors.from_json(name, "FP32" if narrow else declared.datatype, shape, values)
    return tensors.of_array(name, tensor.array, declared.datatype) if narrow else tensor


def _holds_text(array: Any) -> bool:
    return array.dtype.kind == "O" and all(isinstance(value, bytes | str) for value in array.ravel().tolist())


def _texts(values: Any) -> Any:
    array = np.array(values, dtype=object)
    flat = [value.encode() if isinstance(value, str) else value for value in array.ravel().tolist()]
    wrong = next((value for value in flat if not isinstance(value, bytes)), None)
    if wrong is not None:
        raise bad_input(f'text or {{"b64": "..."}} was expected, not {wrong!r:.40}')
    made = np.empty(len(flat), dtype=object)
    made[:] = flat
    return made.reshape(array.shape)


def _with_binary(value: Any) -> Any:
    """Replace every `{"b64": text}` by its bytes."""
    if isinstance(value, list):
        return [_with_binary(each) for each in value] if value and isinstance(value[0], list | dict) else value
    if isinstance(value, dict) and value.keys() == {"b64"}:
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise bad_input("b64 is not base64 text") from error
    return value


def encode(response: InferResponse, document: Document, verb: str = "predict") -> bytes:
    """Return the answer in the form of the question: rows or columns; explanations have their own key."""
    columns = {tensor.name: _plain(tensor) for tensor in response.outputs}
    if verb == "explain":
        return _encode({"explanations": _rows(columns) if document.is_row else _single(columns)})
    if document.is_row:
        return _encode({"predictions": _rows(columns)})
    return _encode({"outputs": _single(columns)})


def encode_json(answer: Any, document: Document, verb: str = "predict") -> bytes:
    """Return what a model that takes JSON answered, under the key of the question's form."""
    key = "explanations" if verb == "explain" else "predictions" if document.is_row else "outputs"
    return _encode({key: answer})


def _single(columns: dict[str, Any]) -> Any:
    return next(iter(columns.values())) if len(columns) == 1 else columns


def _rows(columns: dict[str, Any]) -> Any:
    if len(columns) == 1:
        return next(iter(columns.values()))
    lengths = {len(values) if isinstance(values, list) else -1 for values in columns.values()}
    if len(lengths) != 1 or -1 in lengths:
        return columns
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(tensor: Tensor) -> Any:
    values = tensor.array.tolist()
    return _text_or_b64(values) if tensor.datatype == "BYTES" else values


def _text_or_b64(value: Any) -> Any:
    if isinstance(value, list):
        return [_text_or_b64(each) for each in value]
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}
