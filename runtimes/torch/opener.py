"""Reads torch's files: .pt2 (torch.export), TorchScript, safetensors, state_dict; pickled modules only if allowed.

Weights are read with `weights_only`, which refuses code in them. The class for weights is `options.class`
("module:Class", importable), or the one in the folder's model.py where running it was allowed; `options.arguments` are
its keyword arguments, and `folder` is the model's folder where it takes one.
"""

from __future__ import annotations

import logging
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from runtimes.config import Config
from runtimes.opening import must_allow_code
from runtimes.python.runtime import class_of_file, folder_argument, import_class
from runtimes.repository.layout import LayoutError, ModelConfig
from runtimes.torch.model import TorchModel

FILLS = frozenset({"fill_", "zero_", "normal_", "uniform_", "trunc_normal_"})
log = logging.getLogger(__name__)


def open_file(file: Path, model: ModelConfig, config: Config) -> Any:
    """Return the model of a file; raises LayoutError that says what is missing, CodeRefused."""
    options = model.options
    made = TorchModel(
        _module(file, model, config),
        device=str(options.get("device", config.device)),
        dtype=str(options.get("dtype", config.dtype)),
        threads=int(options.get("threads", config.threads)),
    )
    made.inputs, made.outputs = model.inputs, model.outputs
    return made


def _module(file: Path, model: ModelConfig, config: Config) -> Any:
    if file.suffix == ".pt2":
        return torch.export.load(file).module()
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return _with_weights(file, load_file(file), model, config)
    if _is_torchscript(file):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is deprecated; its files are still around
            jit: Any = torch.jit  # untyped where torch is installed, unknown where it is not
            return jit.load(str(file), map_location="cpu")
    if config.allow_code:
        loaded = torch.load(file, map_location="cpu", weights_only=False)
        if isinstance(loaded, torch.nn.Module):
            return loaded
        return _with_weights(file, loaded, model, config)
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        if "weights_only" in str(error) or "Weights only" in str(error):
            must_allow_code(config, f"{file.name} (a whole pickled module)")
        raise
    return _with_weights(file, weights, model, config)


def _with_weights(file: Path, weights: Any, model: ModelConfig, config: Config) -> Any:
    if isinstance(weights, dict) and isinstance(weights.get("state_dict"), dict):
        weights = weights["state_dict"]
    if not isinstance(weights, dict):
        raise LayoutError(f"{file}: holds {type(weights).__name__}, not weights by name")
    build = _class(file.parent, model, config)
    arguments = folder_argument(build, file.parent) | dict(model.options.get("arguments") or {})
    module = _on_weights(build, arguments, weights)
    if module is None:
        module = build(**arguments)
        module.load_state_dict(weights)
    return module


def _on_weights(build: Any, arguments: dict[str, Any], weights: dict[str, Any]) -> Any:
    """Return the module built right upon its weights, None where that cannot be.

    Random values for parameters that are replaced at once cost more than reading a large model, and weights that are
    copied are shared with no other process. So the module is built without storage and takes the (mapped) tensors as
    they are; not so one that computes with tensors in its constructor, keeps some beside its weights, or has others.
    """
    try:
        with torch.device("meta"), _Unfilled():
            module = build(**arguments)
        wanted = {name: (value.shape, value.dtype) for name, value in module.state_dict().items()}
        if wanted != {name: (value.shape, value.dtype) for name, value in weights.items()}:
            return None
        module.load_state_dict(weights, assign=True)
    except Exception as error:
        log.debug("built with storage of its own: %r", error)
        return None
    tensors = [*module.parameters(), *module.buffers(), *_loose_tensors(module)]
    return None if any(tensor.is_meta for tensor in tensors) else module


class _Unfilled(TorchFunctionMode):
    """Leaves tensors without storage alone when they are to be filled: torch would import hundreds of modules for it,
    which takes longer than reading the weights."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        tensor = args[0] if args else named.get("tensor")
        is_fill = getattr(func, "__name__", "") in FILLS or getattr(func, "__module__", "") == "torch.nn.init"
        if is_fill and isinstance(tensor, torch.Tensor) and tensor.is_meta:
            return tensor
        return func(*args, **named)


def _loose_tensors(module: Any) -> list[Any]:
    return [value for part in module.modules() for value in vars(part).values() if isinstance(value, torch.Tensor)]


def _class(folder: Path, model: ModelConfig, config: Config) -> Any:
    named = str(model.options.get("class") or "")
    code = folder / "model.py"
    if code.is_file():
        must_allow_code(config, str(code))
        found = class_of_file(code, named.rpartition(":")[2]) if named else _only_module(code)
    elif named:
        found = import_class(named)
    else:
        raise LayoutError(f"{folder}: weights need their class: set options.class to module:Class, or add model.py")
    return found


def _only_module(code: Path) -> Any:
    from runtimes.python.runtime import ImportFailed, module_of_file

    module = module_of_file(code)
    found = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, torch.nn.Module) and each.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise ImportFailed(f"{code}: {len(found)} torch modules; name one as options.class")
    return found[0]


def _is_torchscript(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any("/code/" in name or name.endswith("/constants.pkl") for name in archive.namelist())
