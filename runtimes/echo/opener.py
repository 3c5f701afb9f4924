"""Opens an echo model: there is nothing to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtimes.config import Config
from runtimes.echo.runtime import Echo
from runtimes.repository.layout import ModelConfig


def open_file(file: Path, model: ModelConfig, config: Config) -> Any:
    """Return an echo."""
    return Echo()
