"""Opens an ONNX file; what it takes and gives is read from the graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime

from runtimes.config import Config
from runtimes.messages import TensorSpec
from runtimes.repository.layout import ModelConfig

_DATATYPES = {
    "bool": "BOOL",
    "float": "FP32",
    "double": "FP64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "string": "BYTES",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def open_file(file: Path, model: ModelConfig, config: Config) -> Any:
    """Return the model of a file; raises what onnxruntime raises for one it cannot run."""
    options = onnxruntime.SessionOptions()
    if threads := int(model.options.get("threads", config.threads)):
        options.intra_op_num_threads = threads
    if str(model.options.get("share_weights", "")).lower() in ("true", "1"):
        # Weights of an external data file are mapped; packing them anew for the kernels would copy them all.
        options.add_session_config_entry("session.disable_prepacking", "1")
    available = onnxruntime.get_available_providers()
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider") if config.device != "cpu" else ("CPUExecutionProvider",)
    providers = [name for name in wanted if name in available]
    return OnnxModel(onnxruntime.InferenceSession(str(file), options, providers=providers))


class OnnxModel:
    """A session; onnxruntime runs calls of several threads at a time by itself."""

    platform = "onnxruntime_onnx"

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs = [_spec(each) for each in session.get_inputs()]
        self.outputs = [_spec(each) for each in session.get_outputs()]
        self._names = [spec.name for spec in self.outputs]

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run the graph on arrays; strings go in as text."""
        values = {name: _text(array) if array.dtype == object else array for name, array in inputs.items()}
        return dict(zip(self._names, self._session.run(None, values), strict=True))


def _text(array: Any) -> Any:
    decoded = [value.decode() if isinstance(value, bytes) else value for value in array.ravel().tolist()]
    made = array.copy()
    made.ravel()[:] = decoded
    return made.reshape(array.shape)


def _spec(each: Any) -> TensorSpec:
    kind = each.type.removeprefix("tensor(").removesuffix(")")
    if kind not in _DATATYPES:
        raise ValueError(f"{each.name}: {each.type} cannot be sent by the protocol")
    shape = tuple(size if isinstance(size, int) else -1 for size in each.shape or ())
    return TensorSpec(each.name, _DATATYPES[kind], shape)
