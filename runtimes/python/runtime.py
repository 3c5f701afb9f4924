"""Finds model classes: by import path, or in a folder's model.py where running its code was allowed."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import operator
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from runtimes import contract
from runtimes.adapters import seldon
from tidegate.contracts import wake
from tidegate.process import start_clock


class ImportFailed(Exception):
    """A class that cannot be imported: the message names the path and what is wrong."""


def import_class(path: str) -> Any:
    """Return the class (or factory) of `module:Class`; Seldon-style classes come back wrapped. Raises ImportFailed."""
    return _adapted(imported(path))


def imported(path: str) -> Any:
    """Return what `module:Class` names, as it is; raises ImportFailed for what cannot be called."""
    module_name, _, name = path.partition(":")
    if not name:
        module_name, _, name = path.rpartition(".")
    try:
        with start_clock.this().phase(wake.IMPORTS):
            module = importlib.import_module(module_name)
    except Exception as error:
        raise ImportFailed(f"{path}: importing {module_name!r} failed: {type(error).__name__}: {error}") from error
    try:
        found = operator.attrgetter(name)(module)
    except AttributeError:
        found = None
    if not callable(found):
        raise ImportFailed(f"{path}: {module_name!r} has no class {name!r}")
    return found


def made_of(found: Any, folder: Path) -> Any:
    """Return an instance of a class; a constructor with a parameter `folder` gets the folder of its model."""
    return found(**folder_argument(found, folder))


def folder_argument(found: Any, folder: Path) -> dict[str, Path]:
    """Return `{"folder": folder}` for a class or factory that takes one, else nothing."""
    try:
        return {"folder": folder} if contract.accepts(found, "folder") else {}
    except (TypeError, ValueError):  # some built-in types have no signature
        return {}


def class_of_file(file: Path, name: str = "") -> Any:
    """Return the class `name` of a Python file, or its only class with a predict method; raises ImportFailed."""
    module = module_of_file(file)
    if name:
        found = getattr(module, name, None)
        if not callable(found):
            raise ImportFailed(f"{file}: there is no class {name!r}")
        return _adapted(found)
    models = [
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if each.__module__ == module.__name__ and callable(getattr(each, "predict", None))
    ]
    if len(models) != 1:
        raise ImportFailed(f"{file}: {len(models)} classes have a predict method; name one as options.class")
    return _adapted(models[0])


def module_of_file(file: Path) -> ModuleType:
    """Return the module of a Python file, under a name of its own: files of two versions never meet."""
    digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]
    name = f"tidegate_model_{digest}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportFailed(f"{file}: this is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with start_clock.this().phase(wake.IMPORTS):
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ImportFailed(f"{file}: {type(error).__name__}: {error}") from error
    return module


def _adapted(found: Any) -> Any:
    if seldon.is_seldon_style(found):
        return lambda: seldon.SeldonStyle(found())
    return found
