"""Reads an estimator. skops files hold no code: types that skops does not know must be named in `options.trusted`.

Pickles (joblib's too) can run anything when they are read, so they need `allow_code`. So does trust in anything but the
classes of scikit-learn, numpy and scipy: the list comes with the model, as a callable would that it names.

`options.method` is what answers: predict (default), predict_proba, decision_function or transform.
"""

from __future__ import annotations

import json
import pydoc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtimes.config import Config
from runtimes.contract import ContractError
from runtimes.opening import must_allow_code
from runtimes.repository.layout import LayoutError, ModelConfig
from tidegate.contracts import wake
from tidegate.process import start_clock

_PACKAGES = ("sklearn", "numpy", "scipy")
METHODS = ("predict", "predict_proba", "decision_function", "transform")


def open_file(file: Path, model: ModelConfig, config: Config) -> Any:
    """Return the model of a file; raises CodeRefused for a pickle that may not run."""
    if file.suffix == ".skops":
        trusted = [str(name) for name in model.options.get("trusted") or []]
        for name in trusted:
            if not _is_class_of_ours(name):
                must_allow_code(config, f"options.trusted {name!r}")
        estimator = _of_skops(file, trusted)
    else:
        must_allow_code(config, f"{file.name} (a pickle)")
        with start_clock.this().phase(wake.IMPORTS):
            import joblib

        estimator = joblib.load(file)
    return SklearnModel(estimator, str(model.options.get("method", "predict")))


def _is_class_of_ours(name: str) -> bool:
    if name.partition(".")[0] not in _PACKAGES:
        return False
    try:
        return isinstance(pydoc.locate(name), type)
    except pydoc.ErrorDuringImport:
        return False


def _of_skops(file: Path, trusted: list[str]) -> Any:
    with start_clock.this().phase(wake.IMPORTS):
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(file, trusted=trusted)
    except UntrustedTypesFoundException as error:
        found = json.dumps(sorted({*skops.io.get_untrusted_types(file=file), *trusted}))
        text = f'{file}: holds types that skops does not know; if you do, set options.trusted ("trusted": {found})'
        raise LayoutError(text) from error


class SklearnModel:
    """An estimator. Several inputs are columns, laid side by side in the order in which they came."""

    platform = "sklearn"

    def __init__(self, estimator: Any, method: str) -> None:
        if method not in METHODS or not hasattr(estimator, method):
            raise ContractError(f"options.method {method!r}: {type(estimator).__name__} answers to none such")
        self._call = getattr(estimator, method)
        self._method = method
        self.outputs: Sequence[Any] = ()

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the method answers, under the one declared output's name or else its own."""
        columns = [array if array.ndim > 1 else array[:, None] for array in inputs.values()]
        rows = columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)
        return {self.outputs[0]["name"] if len(self.outputs) == 1 else self._method: self._call(rows)}
