"""Open Inference V2 over REST: an infer body to a request, a response to a body (pure).

With the binary tensor extension a body is JSON followed by the blobs of the inputs that have `binary_data_size`, in
input order without padding; `Inference-Header-Content-Length` says where the JSON ends. A header length of 0 is the raw
short form: only the bytes of the one input.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from runtimes import datatypes, tensors
from runtimes.failures import InferenceError, Kind, bad_input
from runtimes.messages import InferRequest, InferResponse, ModelSpec, TensorSpec, WantedOutput, select
from runtimes.tensors import Parameters, Tensor

HEADER_LENGTH = "Inference-Header-Content-Length"
_BINARY_SIZE = "binary_data_size"
_SHARED_MEMORY = "shared_memory_region"


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: Any = None
    parameters: Parameters | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: Parameters | None = None


class _Infer(msgspec.Struct):
    inputs: list[_Input]
    id: str = ""
    parameters: Parameters | None = None
    outputs: list[_Output] | None = None


_decode = msgspec.json.Decoder(_Infer).decode
_encode = msgspec.json.Encoder().encode


def read_json(decode: Any, body: bytes | memoryview) -> Any:
    """Return what `decode` makes of a JSON body; raises a 400 that says where it is wrong."""
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_input(f"the body is not what was expected: {error}") from error
    except RecursionError as error:
        raise bad_input("the body is nested too deeply") from error


def decode(
    body: bytes, header_length: int | None, model_name: str, model_version: str, spec: ModelSpec
) -> InferRequest:
    """Return the request of an infer body. `header_length` is the header's value, None without it; raises a 400."""
    if header_length == 0:
        return _raw_form(body, model_name, model_version, spec)
    view = memoryview(body)
    size = len(body) if header_length is None else header_length
    if size > len(body):
        raise bad_input(f"{HEADER_LENGTH} is {size}, the body has {len(body)} bytes")
    document: _Infer = read_json(_decode, view[:size] if header_length is not None else body)
    inputs = []
    position = size
    for each in document.inputs:
        tensor, position = _input(each, view, position)
        inputs.append(tensor)
    if position != len(body):
        raise bad_input(f"{len(body) - position} bytes are left after the inputs; check {HEADER_LENGTH} and sizes")
    parameters = document.parameters or {}
    wanted = [WantedOutput(each.name, each.parameters or {}) for each in document.outputs or ()]
    _refuse_shared_memory(wanted)
    return InferRequest(model_name, inputs, model_version, document.id, parameters, wanted)


def _input(each: _Input, view: memoryview, position: int) -> tuple[Tensor, int]:
    parameters = each.parameters
    if not parameters:
        return tensors.from_json(each.name, each.datatype, each.shape, _data(each)), position
    if _SHARED_MEMORY in parameters:
        raise _no_shared_memory(f"input {each.name!r}")
    size = parameters.get(_BINARY_SIZE)
    if size is None:
        tensor = tensors.from_json(each.name, each.datatype, each.shape, _data(each))
    else:
        if type(size) is not int or size < 0 or position + size > len(view):
            raise bad_input(f"input {each.name!r}: {_BINARY_SIZE} {size!r} reaches beyond the body")
        if each.data is not None:
            raise bad_input(f"input {each.name!r} has both data and {_BINARY_SIZE}")
        tensor = tensors.from_raw(each.name, each.datatype, each.shape, view[position : position + size])
        position += size
    tensor.parameters = {name: value for name, value in parameters.items() if name != _BINARY_SIZE}
    return tensor, position


def _data(each: _Input) -> Any:
    if each.data is None:
        raise bad_input(f"input {each.name!r} has neither data nor {_BINARY_SIZE}")
    return each.data


def _raw_form(body: bytes, model_name: str, model_version: str, spec: ModelSpec) -> InferRequest:
    if len(spec.inputs) != 1:
        raise bad_input(f"{HEADER_LENGTH}: 0 is for models with one declared input; this one has {len(spec.inputs)}")
    declared = spec.inputs[0]
    if declared.datatype == "BYTES":
        return _raw_text(body, model_name, model_version, declared)
    tensor = tensors.from_raw(declared.name, declared.datatype, _raw_shape(declared, body), body)
    return InferRequest(model_name, [tensor], model_version, parameters={"binary_data_output": True})


def _raw_text(body: bytes, model_name: str, model_version: str, declared: TensorSpec) -> InferRequest:
    # The whole body is the one element: the short form has no length prefix.
    if [size for size in declared.shape if size not in (1, -1)] or len(declared.shape) > 2:
        raise bad_input(f"input {declared.name!r}: the raw form of BYTES is for one element; send the JSON form")
    array = np.array([body], dtype=object).reshape([1] * len(declared.shape))
    return InferRequest(
        model_name,
        [Tensor(declared.name, "BYTES", array)],
        model_version,
        parameters={"binary_data_output": True},
    )


def _raw_shape(declared: TensorSpec, body: bytes) -> list[int]:
    variable = declared.shape.count(-1)
    size_bytes = datatypes.DATATYPES[declared.datatype].size_bytes
    if variable > 1 or not size_bytes:
        raise bad_input(f"input {declared.name!r}: its shape cannot be told from raw bytes; send the JSON form")
    fixed = math.prod(size for size in declared.shape if size != -1) * size_bytes
    if not variable:
        return list(declared.shape)
    if not fixed or len(body) % fixed:
        raise bad_input(f"input {declared.name!r}: {len(body)} bytes are not a multiple of {fixed}")
    return [len(body) // fixed if size == -1 else size for size in declared.shape]


def encode(response: InferResponse, request: InferRequest) -> tuple[bytes, int | None]:
    """Return the body and, when it carries binary tensors, the length of its JSON part.

    Raises a 400 for an output that is not there or that JSON cannot carry.
    """
    by_default = bool(request.parameters.get("binary_data_output"))
    asked = {each.name: each.parameters for each in request.wanted if each.parameters}
    documents: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for tensor in select(response.outputs, request.wanted):
        wishes = asked.get(tensor.name, {})
        if wishes.get("classification"):
            tensor = classified(tensor, wishes["classification"])
        document: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.array.shape}
        if wishes.get("binary_data", by_default):
            raw = tensors.to_raw(tensor)
            document["parameters"] = {**tensor.parameters, _BINARY_SIZE: len(raw)}
            blobs.append(raw)
        else:
            document["data"] = _json_values(tensor)
            if tensor.parameters:
                document["parameters"] = tensor.parameters
        documents.append(document)
    head = _encode(_envelope(response, documents))
    return (b"".join([head, *blobs]), len(head)) if blobs else (head, None)


def _envelope(response: InferResponse, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {"model_name": response.model_name, "model_version": response.model_version}
    if response.id:
        document["id"] = response.id
    if response.parameters:
        document["parameters"] = response.parameters
    document["outputs"] = outputs
    return document


def _json_values(tensor: Tensor) -> list[Any]:
    try:
        return tensors.to_json(tensor)
    except ValueError as error:
        raise bad_input(str(error)) from error


def classified(tensor: Tensor, count: Any) -> Tensor:
    """Return the `count` largest values of each row as `value:index[:label]` strings (Triton's classification
    extension).

    Labels are the tensor's parameter `labels` where the model gives them. Raises a 400 for a count below one.
    """
    if type(count) is not int or count < 1:
        raise bad_input(f"output {tensor.name!r}: classification {count!r} is not a positive number")
    if tensor.datatype in ("BYTES", "BOOL"):
        raise bad_input(f"output {tensor.name!r}: classification needs numbers, not {tensor.datatype}")
    values = tensor.array
    rows = values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values.reshape(1, -1)
    labels = tensor.parameters.get("labels") or []
    found = []
    for row in rows:
        best = (-row.astype("f8")).argsort(kind="stable")[:count]
        found += [_classification(row[index], int(index), labels) for index in best]
    shape = (*values.shape[:-1], min(count, values.shape[-1]))
    texts = np.array(found, dtype=object).reshape(shape)
    return Tensor(tensor.name, "BYTES", texts)


def _classification(value: Any, index: int, labels: list[str]) -> bytes:
    text = f"{float(value):f}:{index}"
    return (f"{text}:{labels[index]}" if index < len(labels) else text).encode()


def _refuse_shared_memory(wanted: list[WantedOutput]) -> None:
    for each in wanted:
        if _SHARED_MEMORY in each.parameters:
            raise _no_shared_memory(f"output {each.name!r}")


def _no_shared_memory(where: str) -> InferenceError:
    return InferenceError(Kind.UNSUPPORTED, f"{where}: shared memory is not offered; send the data with the request")
