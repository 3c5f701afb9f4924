"""Classes of Seldon Core's Python wrapper as models: predict(X, names, meta), transform_*, route, aggregate, tags."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any


def is_seldon_style(found: Any) -> bool:
    """Whether a class takes its features and their names as Seldon's wrapper gives them."""
    method = getattr(found, "predict", None) or getattr(found, "route", None) or getattr(found, "aggregate", None)
    if method is None:
        return False
    parameters = [name for name in inspect.signature(method).parameters if name != "self"]
    return len(parameters) > 1 and (
        parameters[1] in ("names", "features_names", "feature_names", "feature_names_list", "features_names_list")
    )


class SeldonStyle:
    """Such an object behind this server's contract."""

    platform = "seldon"

    def __init__(self, target: Any) -> None:
        self._target = target
        for name in ("inputs", "outputs", "max_batch_size", "max_batch_delay_s", "instances"):
            if hasattr(target, name):
                setattr(self, name, getattr(target, name))
        for ours, theirs in (("preprocess", "transform_input"), ("postprocess", "transform_output")):
            if callable(getattr(target, theirs, None)):
                setattr(self, ours, self._transformer(getattr(target, theirs)))
        for name in ("tags", "metrics", "send_feedback", "class_names", "unload", "code_version"):
            if hasattr(target, name):
                setattr(self, name, getattr(target, name))
        if callable(getattr(target, "route", None)):
            self.route = lambda inputs: target.route(*_features(target.route, inputs))
        if callable(getattr(target, "aggregate", None)):
            self.aggregate = self._aggregate

    def load(self) -> None:
        """Load as Seldon's wrapper does."""
        if callable(getattr(self._target, "load", None)):
            self._target.load()

    def health(self) -> bool:
        """Ask `health_status`; anything that does not raise is healthy."""
        if callable(getattr(self._target, "health_status", None)):
            self._target.health_status()
        return True

    def predict(self, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
        """Give the only input as X, and the names of its columns where the request has them."""
        method = getattr(self._target, "predict", None)
        if method is None:
            return next(iter(inputs.values()))
        return method(*_features(method, inputs, parameters.get("names") or []))

    def _aggregate(self, listed: Sequence[Mapping[str, Any]]) -> Any:
        features = [next(iter(inputs.values())) for inputs in listed]
        return self._target.aggregate(features, [[] for _ in features])

    @staticmethod
    def _transformer(method: Any) -> Any:
        def transform(values: Any) -> Any:
            is_named = isinstance(values, Mapping)
            made = method(*_features(method, values if is_named else {"X": values}))
            return {next(iter(values)): made} if is_named else made

        return transform


def _features(method: Any, inputs: Mapping[str, Any], names: Sequence[str] = ()) -> tuple[Any, ...]:
    accepted = len(inspect.signature(method).parameters)
    given: tuple[Any, ...] = (next(iter(inputs.values())), list(names), {})
    return given[: min(accepted, len(given))]
