"""Reads torch's files: TorchScript, safetensors, state_dict; only if allowed: .pt2 (torch.export), pickled modules.

Weights are read with `weights_only`, which refuses code in them; torch reads pickles and libraries out of a .pt2. The
class for weights is `options.class` ("module:Class", importable), or the one in the folder's model.py where running it
was allowed; `options.arguments` are its keyword arguments, and `folder` is the model's folder where it takes one.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from runtimes.config import Config
from runtimes.opening import must_allow_code
from runtimes.python.runtime import class_of_file, folder_argument, import_class
from runtimes.repository.layout import LayoutError, ModelConfig
from runtimes.torch import weights
from runtimes.torch.model import TorchModel


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
        must_allow_code(config, f"{file.name} (torch.export's files hold pickles, libraries and names of functions)")
        return torch.export.load(file).module()
    if file.suffix == ".safetensors":
        return _with_weights(file, weights.read_safetensors(file), model, config)
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
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        if "weights_only" in str(error) or "Weights only" in str(error):
            must_allow_code(config, f"{file.name} (a whole pickled module)")
        raise
    return _with_weights(file, found, model, config)


def _with_weights(file: Path, found: Any, model: ModelConfig, config: Config) -> Any:
    made = _class(file.parent, model, config)
    arguments = folder_argument(made, file.parent) | dict(model.options.get("arguments") or {})
    return weights.module_with(lambda: made(**arguments), found, file)


def _class(folder: Path, model: ModelConfig, config: Config) -> Any:
    named = str(model.options.get("class") or "")
    code = folder / "model.py"
    if code.is_file():
        must_allow_code(config, str(code))
        found = class_of_file(code, named.rpartition(":")[2]) if named else _only_module(code)
    elif named:
        found = import_class(named)
        if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
            # The settings come with the model: with their arguments any function installed here could be called.
            must_allow_code(config, f"options.class {named!r} (it is no torch.nn.Module)")
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
