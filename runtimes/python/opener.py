"""Opens a Python model: the class that the configuration names, or the one in the folder's model.py (if allowed)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtimes.config import Config
from runtimes.opening import must_allow_code
from runtimes.python.runtime import class_of_file, import_class
from runtimes.repository.layout import ModelConfig


def open_file(file: Path, model: ModelConfig, config: Config) -> Any:
    """Return an instance of the model's class; raises CodeRefused for a model.py that may not run."""
    named = str(model.options.get("class") or "")
    if file.suffix != ".py":
        return import_class(named)()
    must_allow_code(config, str(file))
    return class_of_file(file, named.rpartition(":")[2])()
