"""Loads one version in this process and measures what it takes; what a folder's files weigh; memory given back."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtimes import contract
from runtimes.repository import layout
from runtimes.repository.layout import ModelFolder
from runtimes.servable import Servable

Open = Callable[[Path, layout.ModelConfig], Any]
"""Makes the model object of a version folder; runs in a thread; whatever it raises is the reason of UNAVAILABLE."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def load(open_model: Open, folder: ModelFolder, version: str) -> tuple[Servable, float]:
    """Return the loaded version and the bytes it takes: what the process grew by, or what the model says if more."""
    before = _resident_bytes()
    target = open_model(folder.versions[version], folder.config)
    model = contract.wrap(target)
    model.load()
    settings = contract.settings_of(target, folder.config.batching)
    declared = float(target.memory_bytes()) if hasattr(target, "memory_bytes") else 0.0
    return Servable(folder.name, version, model, settings), max(_resident_bytes() - before, declared, 1.0)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def give_memory_back() -> None:
    """Let the C library return what it keeps of freed memory: the next measurement would count too little."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def files_bytes(folder: Path) -> int:
    """Return what the files of a folder weigh together."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # Python renames its caches beside a model.py at any time
                total += os.stat(os.path.join(parent, name)).st_size  # noqa: PTH116, PTH118 -- one string is enough
    return total
