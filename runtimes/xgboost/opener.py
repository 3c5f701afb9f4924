"""Reads a booster and answers its predictions; several inputs are columns side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from runtimes.config import Config
from runtimes.repository.layout import ModelConfig


def open_file(file: Path, model: ModelConfig, config: Config) -> Any:
    """Return the model of a file."""
    booster = xgboost.Booster()
    booster.load_model(file)
    if config.threads:
        booster.set_param({"nthread": config.threads})
    return XgboostModel(booster)


class XgboostModel:
    """A booster."""

    platform = "xgboost"

    def __init__(self, booster: Any) -> None:
        self._booster = booster

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the predictions for rows of numbers."""
        columns = [array if array.ndim > 1 else array[:, None] for array in inputs.values()]
        return {"predict": self._booster.inplace_predict(np.concatenate(columns, axis=1))}
