"""Opens a version folder with the runtime that its files or its configuration name.

Runtimes are imported when they are first needed, so that a server pays only for the framework it uses. Code that comes
with a model runs only where `allow_code` is set: a model file may come from anywhere, and code in it can do all that
this process can.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol

from runtimes.config import Config
from runtimes.repository import layout, manifest
from runtimes.repository.layout import ModelConfig
from tidegate.contracts import wake
from tidegate.process import start_clock

RUNTIMES = {
    "echo": "runtimes.echo.opener",
    "python": "runtimes.python.opener",
    "torch": "runtimes.torch.opener",
    "sklearn": "runtimes.sklearn.opener",
    "onnx": "runtimes.onnx.opener",
    "xgboost": "runtimes.xgboost.opener",
    "lightgbm": "runtimes.lightgbm.opener",
    "mar": "runtimes.adapters.archive",
}


class CodeRefused(Exception):
    """A model that needs its own code to run, where that was not allowed."""


class Opener(Protocol):
    """What each runtime's module has."""

    def open_file(self, file: Path, model: ModelConfig, config: Config) -> Any:
        """Return the model object of a file (or of a folder where the runtime takes folders)."""
        ...


def open_model(folder: Path, model: ModelConfig, config: Config) -> Any:
    """Return the model object of a version folder, declared inputs and batching included.

    Raises LayoutError, ManifestError, CodeRefused, or what the framework raises; for an unknown runtime a LayoutError
    that lists them.
    """
    said = manifest.read(folder)
    if said is not None:
        manifest.check_files(said, folder)  # before anything of the folder is opened
    runtime, file = layout.artefact(folder, model)
    module = RUNTIMES.get(runtime)
    if module is None:
        raise layout.LayoutError(f"{folder}: runtime {runtime!r} is unknown; known are {', '.join(RUNTIMES)}")
    try:
        with start_clock.this().phase(wake.IMPORTS):
            opener: Any = importlib.import_module(module)
        target = opener.open_file(file, model, config)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] != "runtimes":
            text = f"runtime {runtime!r} needs {error.name!r}: pip install 'tidegate[{runtime}]'"
            raise layout.LayoutError(text) from error
        raise
    if said is not None:
        manifest.check_code(said, target, folder)
    for name, declared in (("inputs", model.inputs), ("outputs", model.outputs)):
        if declared:
            setattr(target, name, declared)
    for name, value in {**model.batching, **config.batching()}.items():
        setattr(target, name, value)
    return target


def must_allow_code(config: Config, what: str) -> None:
    """Raise CodeRefused unless running a model's own code was allowed."""
    if not config.allow_code:
        raise CodeRefused(f"{what} runs code that comes with the model; if you trust its origin, set --allow-code true")
