"""Reads a booster and answers its predictions; several inputs are columns side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from runtimes.config import Config
from runtimes.repository.layout import ModelConfig


def open_file(file: Path, model: ModelConfig, config: Config) -> Any:
    """Return the model of a file."""
    return LightgbmModel(lightgbm.Booster(model_file=str(file)), config.threads)


class LightgbmModel:
    """A booster."""

    platform = "lightgbm"

    def __init__(self, booster: Any, threads: int) -> None:
        self._booster = booster
        self._options = {"num_threads": threads} if threads else {}

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the predictions for rows of numbers."""
        columns = [array if array.ndim > 1 else array[:, None] for array in inputs.values()]
        return {"predict": self._booster.predict(np.concatenate(columns, axis=1), **self._options)}
