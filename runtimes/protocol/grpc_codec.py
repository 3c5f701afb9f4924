"""V2 over gRPC: messages to requests, responses to messages (pure).

A request carries its tensors raw (all of them, one blob per input) or typed (`contents`), never both. The answer is
raw, which is what tritonclient reads; it is typed for a request that was typed itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from runtimes import tensors
from runtimes.datatypes import BYTES, DATATYPES, named
from runtimes.failures import InferenceError, Kind, bad_input
from runtimes.messages import InferRequest, InferResponse, WantedOutput, select
from runtimes.protocol.grpc_types import message
from runtimes.protocol.v2_rest import classified
from runtimes.tensors import Parameters, Tensor

_REQUEST = message("ModelInferRequest")
_RESPONSE = message("ModelInferResponse")


def parameters_of(entries: Any) -> Parameters:
    """Return a map of parameters as plain values."""
    return {
        name: getattr(entry, entry.WhichOneof("parameter_choice") or "bool_param") for name, entry in entries.items()
    }


def set_parameters(entries: Any, parameters: Parameters) -> None:
    """Write plain values into a map of parameters; what has no form there is written as text."""
    for name, value in parameters.items():
        if isinstance(value, bool):
            entries[name].bool_param = value
        elif isinstance(value, int):
            entries[name].int64_param = value
        elif isinstance(value, float):
            entries[name].double_param = value
        else:
            entries[name].string_param = str(value)


def decode(asked: Any) -> InferRequest:
    """Return the request of a ModelInferRequest; raises a 400 that names the input."""
    raw = asked.raw_input_contents
    if raw and len(raw) != len(asked.inputs):
        raise bad_input(f"raw_input_contents has {len(raw)} blobs for {len(asked.inputs)} inputs")
    inputs = []
    for position, each in enumerate(asked.inputs):
        parameters = parameters_of(each.parameters) if each.parameters else {}
        if "shared_memory_region" in parameters:
            raise InferenceError(Kind.UNSUPPORTED, f"input {each.name!r}: shared memory is not offered")
        if raw:
            if each.HasField("contents"):
                raise bad_input(f"input {each.name!r} has typed contents beside raw_input_contents")
            tensor = tensors.from_raw(each.name, each.datatype, each.shape, raw[position])
        else:
            tensor = _typed(each)
        tensor.parameters = parameters
        inputs.append(tensor)
    wanted = [WantedOutput(each.name, parameters_of(each.parameters)) for each in asked.outputs]
    if any("shared_memory_region" in each.parameters for each in wanted):
        raise InferenceError(Kind.UNSUPPORTED, "outputs in shared memory are not offered")
    return InferRequest(
        asked.model_name, inputs, asked.model_version, asked.id, parameters_of(asked.parameters), wanted
    )


def _typed(each: Any) -> Tensor:
    kind = named(each.datatype, each.name)
    count = tensors.checked_shape(each.shape, each.name)
    if not kind.contents:
        raise bad_input(f"input {each.name!r}: {each.datatype} has no typed contents; send it raw")
    filled = [field.name for field, _ in each.contents.ListFields()]
    if filled not in ([], [kind.contents]):
        raise bad_input(f"input {each.name!r}: {each.datatype} belongs in {kind.contents}, not {', '.join(filled)}")
    values = getattr(each.contents, kind.contents)
    if len(values) != count:
        raise bad_input(f"input {each.name!r}: shape {list(each.shape)} needs {count} values, got {len(values)}")
    try:
        array = np.empty(count, dtype=object) if kind is BYTES else np.array(values, dtype=kind.numpy)
    except OverflowError as error:
        raise bad_input(f"input {each.name!r}: a value is not {each.datatype}") from error
    if kind is BYTES:
        array[:] = list(values)
    return Tensor(each.name, each.datatype, array.reshape(each.shape))


def is_typed(asked: Any) -> bool:
    """Whether a ModelInferRequest carried its tensors typed."""
    return bool(asked.inputs) and not asked.raw_input_contents


def encode(response: InferResponse, request: InferRequest, *, typed: bool = False) -> Any:
    """Return the ModelInferResponse; raises a 400 for an output that is not there."""
    answer = _RESPONSE(model_name=response.model_name, model_version=response.model_version, id=response.id)
    set_parameters(answer.parameters, response.parameters)
    chosen = select(response.outputs, request.wanted)
    wishes = {each.name: each.parameters for each in request.wanted if each.parameters}
    ready = [
        classified(tensor, int(wishes[tensor.name]["classification"]))
        if wishes.get(tensor.name, {}).get("classification")
        else tensor
        for tensor in chosen
    ]
    as_contents = typed and all(DATATYPES[tensor.datatype].contents for tensor in ready)
    for tensor in ready:
        output = answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        if tensor.parameters:
            set_parameters(output.parameters, tensor.parameters)
        if as_contents:
            _fill(output.contents, tensor)
        else:
            answer.raw_output_contents.append(tensors.to_raw(tensor))
    return answer


def _fill(contents: Any, tensor: Tensor) -> None:
    kind = DATATYPES[tensor.datatype]
    values = tensor.array.ravel().tolist()
    if kind is BYTES:
        values = [value.encode() if isinstance(value, str) else value for value in values]
    getattr(contents, kind.contents).extend(values)
