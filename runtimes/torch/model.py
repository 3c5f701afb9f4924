"""A torch module as a model: device, dtype, threads, warm-up, inference without gradients."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from runtimes.contract import ContractError, spec_of
from runtimes.messages import TensorSpec
from tidegate.contracts import wake
from tidegate.process import start_clock

log = logging.getLogger(__name__)

DTYPES = {"": None, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
STEPS = ("preprocess", "postprocess")


class TorchModel:
    """Runs a module. Inputs go in by the order in which they are declared (else: in which they came).

    `device` is cpu, cuda, cuda:N or auto; `dtype` converts floating weights and inputs; `threads` 0 leaves torch's
    number. With declared inputs the module runs once before it is ready, so that no request pays for the first call.
    `preprocess` and `postprocess` (name -> array, in and out) of the module are run too: text becomes numbers that way.
    """

    platform = "pytorch"

    def __init__(self, module: Any, *, device: str = "auto", dtype: str = "", threads: int = 0) -> None:
        if dtype not in DTYPES:
            raise ContractError(f"dtype {dtype!r} is not one of {', '.join(filter(None, DTYPES))}")
        self._dtype = DTYPES[dtype]
        self._device = chosen_device(device)
        self._threads = threads
        self._module = module
        self.inputs: Sequence[Any] = ()
        self.outputs: Sequence[Any] = ()
        if hasattr(module, "code_version"):
            self.code_version = module.code_version
        for step in STEPS:
            if callable(getattr(module, step, None)):
                setattr(self, step, getattr(module, step))

    def load(self) -> None:
        """Move the weights, set the threads, run once."""
        if self._threads:
            torch.set_num_threads(self._threads)
        if hasattr(self._module, "eval"):
            try:
                self._module.eval()
            except NotImplementedError:  # a torch.export program is in the mode that it was exported in
                log.debug("this module has no eval mode")
        self._module = self._module.to(device=self._device, dtype=self._dtype)
        self._warm_up()

    def unload(self) -> None:
        """Let the weights go; device memory goes back to the driver."""
        self._module = None
        for step in STEPS:
            vars(self).pop(step, None)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def memory_bytes(self) -> int:
        """Return what the weights hold."""
        tensors = [*self._module.parameters(), *self._module.buffers()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run the module on arrays; returns arrays by output name."""
        names = [_name(each) for each in self.inputs if _name(each) in inputs] or list(inputs)
        with torch.inference_mode():
            made = self._module(*(self._tensor(inputs[name]) for name in names))
        return {name: _array(value) for name, value in self._named(made).items()}

    def _tensor(self, array: Any) -> Any:
        if array.dtype == object:
            raise TypeError("torch takes numbers: BYTES inputs need a module with preprocess")
        # Arrays of a request share its memory, which is read-only; torch warns about tensors on such memory.
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        dtype = self._dtype if tensor.is_floating_point() else None
        return tensor.to(device=self._device, dtype=dtype)

    def _named(self, made: Any) -> dict[str, Any]:
        # With postprocess the declared outputs are what that makes of the module's own.
        declared = [] if hasattr(self, "postprocess") else [_name(each) for each in self.outputs]
        if isinstance(made, Mapping):
            return dict(made)
        values = list(made) if isinstance(made, tuple | list) else [made]
        if declared and len(declared) != len(values):
            raise ValueError(f"the module gives {len(values)} outputs, {len(declared)} are declared")
        names = declared or (["output"] if len(values) == 1 else [f"output_{at}" for at in range(len(values))])
        return dict(zip(names, values, strict=True))

    def _warm_up(self) -> None:
        specs = spec_of(self).inputs
        preprocess = getattr(self, "preprocess", None)
        if not specs or (preprocess is None and any(spec.datatype == "BYTES" for spec in specs)):
            return
        values = {spec.name: example(spec, 1) for spec in specs}
        with start_clock.this().phase(wake.WARM_UP):
            self.predict(values if preprocess is None else preprocess(values))


def example(spec: TensorSpec, rows: int) -> Any:
    """Return zeros (empty texts) of a declared shape, variable dimensions as `rows`."""
    from runtimes.datatypes import DATATYPES

    if spec.datatype == "BYTES":
        return np.full([rows if size == -1 else size for size in spec.shape], b"", dtype=object)
    return np.zeros([rows if size == -1 else size for size in spec.shape], DATATYPES[spec.datatype].numpy)


def chosen_device(name: str) -> Any:
    """Return the device; `auto` is CUDA where there is one. Raises ContractError for one that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ContractError(f"device {name!r} is unknown: {error}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ContractError(f"device {name!r}: no CUDA device is available to this process")
    return device


def _name(declared: Any) -> str:
    return declared.name if isinstance(declared, TensorSpec) else str(declared["name"])


def _array(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
