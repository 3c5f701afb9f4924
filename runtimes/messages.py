"""What an inference is inside the server, whichever protocol it came by: request, response, tensor and model specs
(pure).

Codecs of protocol/ make these and read these; the pipeline, the batcher and the models know nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtimes.failures import bad_input
from runtimes.tensors import Parameters, Tensor


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A declared input or output: -1 in `shape` is a variable dimension; `is_optional` inputs may be left out."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    is_optional: bool = False

    def document(self) -> dict[str, Any]:
        """Return the metadata form."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a model says of itself. Empty `inputs` or `outputs` mean: not declared, nothing is checked."""

    platform: str = "python"
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    is_batchable: bool = False
    labels: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)

    def output_datatype(self, name: str) -> str:
        """Return the declared datatype of an output, or an empty string."""
        return next((spec.datatype for spec in self.outputs if spec.name == name), "")


@dataclass(slots=True)
class WantedOutput:
    """An output that the client asked for."""

    name: str
    parameters: Parameters = field(default_factory=dict)


@dataclass(slots=True)
class InferRequest:
    """One inference. `deadline` is monotonic seconds (infinite: none); empty `wanted` means all outputs."""

    model_name: str
    inputs: list[Tensor]
    model_version: str = ""
    id: str = ""
    parameters: Parameters = field(default_factory=dict)
    wanted: list[WantedOutput] = field(default_factory=list)
    deadline: float = math.inf

    def arrays(self) -> dict[str, Any]:
        """Return the inputs as a model takes them: name to array."""
        return {tensor.name: tensor.array for tensor in self.inputs}


@dataclass(slots=True)
class InferResponse:
    """The answer to one inference."""

    model_name: str
    model_version: str
    outputs: list[Tensor]
    id: str = ""
    parameters: Parameters = field(default_factory=dict)


def check(inputs: Sequence[Tensor], specs: Sequence[TensorSpec]) -> None:
    """Compare the inputs with what the model declares; raises a 400 that names the first input that does not fit."""
    if not specs:
        return
    if len(inputs) == 1 and len(specs) == 1:
        _check_one(inputs[0], specs[0])
        return
    declared = {spec.name: spec for spec in specs}
    given = set()
    for tensor in inputs:
        if tensor.name in given:
            raise bad_input(f"input {tensor.name!r} is given twice")
        given.add(tensor.name)
        spec = declared.get(tensor.name)
        if spec is None:
            raise bad_input(f"input {tensor.name!r} is unknown; the model takes {_names(specs)}")
        _check_one(tensor, spec)
    for spec in specs:
        if spec.name not in given and not spec.is_optional:
            raise bad_input(f"input {spec.name!r} is missing; the model takes {_names(specs)}")


def _check_one(tensor: Tensor, spec: TensorSpec) -> None:
    if tensor.name != spec.name:
        raise bad_input(f"input {tensor.name!r} is unknown; the model takes {spec.name!r}")
    if tensor.datatype != spec.datatype:
        raise bad_input(f"input {tensor.name!r}: datatype is {tensor.datatype}, the model takes {spec.datatype}")
    shape = tensor.array.shape
    if len(shape) == len(spec.shape):
        for size, wanted in zip(shape, spec.shape, strict=True):
            if wanted not in (-1, size):
                break
        else:
            return
    raise bad_input(f"input {tensor.name!r}: shape is {list(shape)}, the model takes {list(spec.shape)} (-1: any)")


def select(outputs: list[Tensor], wanted: Sequence[WantedOutput]) -> list[Tensor]:
    """Return the outputs that were asked for, in that order, with their parameters; raises a 400 for an unknown one."""
    if not wanted:
        return outputs
    made = {tensor.name: tensor for tensor in outputs}
    unknown = next((each.name for each in wanted if each.name not in made), None)
    if unknown is not None:
        raise bad_input(f"output {unknown!r} is unknown; the model gives {_names(outputs)}")
    return [made[each.name] for each in wanted]


def _names(named: Iterable[Tensor | TensorSpec]) -> str:
    return ", ".join(repr(each.name) for each in named) or "nothing"
