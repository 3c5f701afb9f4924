"""Opens a Python model: the class that the configuration names, or the one in the folder's model.py (if allowed)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtimes.config import Config
from runtimes.opening import must_allow_code
from runtimes.python.runtime import class_of_file, import_class, imported, made_of
from runtimes.repository.layout import SETTINGS, LayoutError, ModelConfig


def open_file(file: Path, model: ModelConfig, config: Config) -> Any:
    """Return an instance of the model's class; raises CodeRefused for a model.py that may not run, LayoutError when
    nothing names a class."""
    named = str(model.options.get("class") or "")
    if file.suffix != ".py":
        if not named:
            raise LayoutError(f'{file}: write "implementation": "module.Class" into {SETTINGS}, or add model.py')
        if not isinstance(imported(named), type):
            # The settings come with the model: any function installed here could be called.
            must_allow_code(config, f"options.class {named!r} (it is no class)")
        return made_of(import_class(named), file)
    must_allow_code(config, str(file))
    return made_of(class_of_file(file, named.rpartition(":")[2]), file.parent)
