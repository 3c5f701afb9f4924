"""What a model is: a plain Python class, and how its methods become one inference.

Nothing but `predict` is required:

    class Iris:
        inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]      # optional: then requests are checked
        outputs = [{"name": "label", "datatype": "INT64", "shape": [-1]}]   # optional
        max_batch_size = 32                                                 # optional: requests share a call
        def load(self): ...                        # once, before the model is ready
        def preprocess(self, inputs): ...          # name -> array, on the way in
        def predict(self, inputs): ...             # returns name -> array, or one array
        def postprocess(self, outputs): ...        # on the way out
        def explain(self, inputs): ...             # the :explain verb
        def generate(self, text, parameters): ...  # yields text
        def metrics(self): ...                     # after each prediction: [{"type": "COUNTER", "key", "value"}]
        def route(self, inputs), aggregate(self, list_of_inputs), health(self), unload(self)

`predict` may be `async`. `blocking = False` says that it is so quick that a thread would cost more than it does.
`predict_tensors(list)` takes and returns this server's own tensors (BF16 stays BF16). `payload = "json"` gives predict
the V1 rows or columns as they came. `batch_aware = False` means one row per call.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from runtimes import tensors
from runtimes.batch_assembly import Form
from runtimes.batch_plan import BatchLimits
from runtimes.batching import BatchSettings
from runtimes.custom_metrics import CustomMetrics
from runtimes.datatypes import DATATYPES
from runtimes.failures import InferenceError, Kind
from runtimes.messages import ModelSpec, TensorSpec
from runtimes.tensors import Parameters, Tensor

log = logging.getLogger(__name__)

_ASYNC_IN_FLIGHT = 256
Text = str | Iterator[str] | AsyncIterator[str]


class ContractError(Exception):
    """A model class that cannot be served: the message names the attribute and the fix."""


class Model:
    """A loaded object with the contract's methods, all optional ones filled in."""

    def __init__(self, target: Any) -> None:
        if not callable(getattr(target, "predict", None)) and not callable(getattr(target, "generate", None)):
            raise ContractError(f"{type(target).__name__} has neither predict nor generate")
        self.target = target
        self._predict = getattr(target, "predict", None)
        self._predict_tensors = getattr(target, "predict_tensors", None)
        self._preprocess = getattr(target, "preprocess", None)
        self._postprocess = getattr(target, "postprocess", None)
        self.is_async = self.is_cancellable = inspect.iscoroutinefunction(self._predict)
        self.is_blocking = bool(getattr(target, "blocking", True)) and not self.is_async
        self.takes_json = getattr(target, "payload", "tensors") == "json"
        self._last_metrics: list[dict[str, Any]] = []
        self._has_complained = False
        self.custom = CustomMetrics() if callable(getattr(target, "metrics", None)) else None
        self._takes_parameters = accepts(self._predict, "parameters")
        self.spec = spec_of(target)

    def has(self, method: str) -> bool:
        """Whether the class has this optional method."""
        return callable(getattr(self.target, method, None))

    def load(self) -> None:
        """Load the model; what it declares may change, so the spec is read again."""
        if self.has("load"):
            self.target.load()
        self.spec = spec_of(self.target)

    def unload(self) -> Any:
        """Let the model give back what it holds; returns an awaitable where its `unload` is `async`."""
        return self.target.unload() if self.has("unload") else None

    def release(self) -> None:
        """Forget the model: nothing may be called afterwards. Its memory is free now, not when cycles are collected."""
        self.target = self._predict = self._predict_tensors = self._preprocess = self._postprocess = None

    def is_healthy(self) -> bool:
        """Whether the model says it can serve; a `health` that raises means no."""
        if not self.has("health"):
            return True
        try:
            return self.target.health() is not False
        except Exception:
            return False

    def predict(self, inputs: Sequence[Tensor], parameters: Parameters) -> list[Tensor]:
        """Run the three steps of one inference in this thread; raises MODEL_FAILED for what cannot be sent."""
        if self._predict_tensors is not None:
            made: list[Tensor] = self._predict_tensors(inputs)
            return made
        if self.takes_json:
            return self._predict_json(inputs, parameters)
        values: Any = {tensor.name: tensor.array for tensor in inputs}
        if self._preprocess is not None:
            values = self._preprocess(values)
        values = self._call(values, parameters)
        if self._postprocess is not None:
            values = self._postprocess(values)
        self._take_metrics()
        return self.to_tensors(values)

    async def predict_async(self, inputs: Sequence[Tensor], parameters: Parameters) -> list[Tensor]:
        """Run one inference of a model with an `async` predict; the other steps may be either."""
        values: Any = {tensor.name: tensor.array for tensor in inputs}
        if self._preprocess is not None:
            values = await _resolved(self._preprocess(values))
        values = await _resolved(self._call(values, parameters))
        if self._postprocess is not None:
            values = await _resolved(self._postprocess(values))
        self._take_metrics()
        return self.to_tensors(values)

    def _take_metrics(self) -> None:
        if self.custom is not None:
            try:
                said = self.target.metrics()
            except Exception as error:  # the prediction is good: what counts it must not spoil it
                if not self._has_complained:  # once: it may be so at every request
                    log.warning("metrics of %s: %r", type(self.target).__name__, error)
                    self._has_complained = True
                said = [error]
            self._last_metrics = self.custom.take(said)

    def explain(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run the model's `explain`; raises UNSUPPORTED where there is none."""
        if not self.has("explain"):
            raise InferenceError(Kind.UNSUPPORTED, f"{type(self.target).__name__} has no explain")
        return self.to_tensors(self.target.explain({tensor.name: tensor.array for tensor in inputs}), "explanation")

    def aggregate(self, listed: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Merge several models' outputs by the model's `aggregate`; raises UNSUPPORTED where there is none."""
        if not self.has("aggregate"):
            raise InferenceError(Kind.UNSUPPORTED, f"{type(self.target).__name__} has no aggregate")
        return self.to_tensors(self.target.aggregate([{t.name: t.array for t in inputs} for inputs in listed]))

    def route(self, inputs: Sequence[Tensor]) -> int:
        """Return the number of the child to ask: -1 all, -2 none; raises UNSUPPORTED without `route`."""
        if not self.has("route"):
            raise InferenceError(Kind.UNSUPPORTED, f"{type(self.target).__name__} has no route")
        return int(self.target.route({tensor.name: tensor.array for tensor in inputs}))

    def seldon_verb(self, verb: str, tensor: Tensor, document: Mapping[str, Any]) -> list[Tensor]:
        """Run one of Seldon's verbs but predict: route, transform-input, transform-output, send-feedback."""
        values = {tensor.name: tensor.array}
        if verb == "route":
            return self.to_tensors(np.array([[self.route([tensor])]]))
        if verb == "transform-input" and self._preprocess is not None:
            return self.to_tensors(self._preprocess(values))
        if verb == "transform-output" and self._postprocess is not None:
            return self.to_tensors(self._postprocess(values))
        if verb == "send-feedback" and self.has("send_feedback"):
            self.target.send_feedback(dict(document))
            return [tensor]
        raise InferenceError(Kind.UNSUPPORTED, f"{type(self.target).__name__} does not answer {verb!r}")

    def seldon_meta(self) -> tuple[list[str], dict[str, Any]]:
        """Return the names of the output's columns, and the tags and metrics that a Seldon-style class gives."""
        named = getattr(self.target, "class_names", None)
        names = named() if callable(named) else named
        tags = self.target.tags() if self.has("tags") else {}
        said = {"tags": tags, "metrics": self._last_metrics}
        return [str(name) for name in names or []], {name: value for name, value in said.items() if value}

    def generate(self, text: str, parameters: Parameters) -> Text:
        """Return the text that follows `text`: one piece or an iterator of pieces; raises UNSUPPORTED without it."""
        if not self.has("generate"):
            raise InferenceError(Kind.UNSUPPORTED, f"{type(self.target).__name__} has no generate")
        made: Text = self.target.generate(text, parameters)
        return made

    def _predict_json(self, inputs: Sequence[Tensor], parameters: Parameters) -> list[Tensor]:
        columns = {tensor.name: _texts(tensor.array.tolist()) for tensor in inputs}
        rows: Any = next(iter(columns.values()))
        if len(columns) > 1:
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for method in (self._preprocess, functools.partial(self._call, parameters=parameters), self._postprocess):
            rows = rows if method is None else method(rows)
        self._take_metrics()
        answers = _plain(rows)
        if not isinstance(answers, list):
            raise InferenceError(Kind.MODEL_FAILED, "a model that takes JSON answers a list, one element per row")
        if inputs[0].datatype == tensors.JSON:
            return [tensors.of_objects("predictions", tensors.JSON, answers)]
        if all(isinstance(answer, dict | str | type(None)) for answer in answers):
            texts = [answer if isinstance(answer, str) else json.dumps(answer) for answer in answers]
            return [tensors.of_objects("predictions", "BYTES", [text.encode() for text in texts])]
        return self.to_tensors({"predictions": answers})

    def to_tensors(self, values: Any, anonymous: str = "output") -> list[Tensor]:
        """Return what a method gave as tensors; raises MODEL_FAILED when the protocol cannot carry it."""
        try:
            return self._to_tensors(values, anonymous)
        except (TypeError, ValueError) as error:
            raise InferenceError(Kind.MODEL_FAILED, f"the model's answer cannot be sent: {error}") from error

    def _to_tensors(self, values: Any, anonymous: str) -> list[Tensor]:
        if isinstance(values, list) and values and isinstance(values[0], Tensor):
            return values
        outputs = self.spec.outputs
        if isinstance(values, tuple) and len(values) == len(outputs):
            values = {spec.name: value for spec, value in zip(outputs, values, strict=True)}
        if not isinstance(values, Mapping):
            values = {outputs[0].name if outputs else anonymous: values}
        datatype = self.spec.output_datatype
        return [tensors.of_array(name, value, datatype(name)) for name, value in values.items()]

    def _call(self, values: Any, parameters: Parameters) -> Any:
        assert self._predict is not None, "spec_of promises predict or generate"
        return self._predict(values, parameters=parameters) if self._takes_parameters else self._predict(values)


def spec_of(target: Any) -> ModelSpec:
    """Return what a class or object declares; raises ContractError that names the entry."""
    return ModelSpec(
        platform=str(getattr(target, "platform", "python")),
        inputs=_specs(getattr(target, "inputs", ()), "inputs"),
        outputs=_specs(getattr(target, "outputs", ()), "outputs"),
        is_batchable=int(getattr(target, "max_batch_size", 0) or 0) > 0,
        labels=tuple(getattr(target, "labels", ())),
    )


def settings_of(target: Any, overrides: Mapping[str, Any] | None = None) -> BatchSettings:
    """Return how a model wants to be batched; `overrides` (a model's configuration) win over its attributes.

    Read are `max_batch_size`, `max_batch_delay_s`, `instances`, `max_queue_size`, `batch_form`, `pad_value`,
    `least_rows`. Raises ContractError for a value that cannot be.
    """
    chosen = dict(overrides or {})

    def value(name: str, default: Any) -> Any:
        return chosen.get(name, getattr(target, name, default))

    is_async = inspect.iscoroutinefunction(getattr(target, "predict", None))
    try:
        size = int(value("max_batch_size", 0) or 0)
        limits = BatchLimits(
            max_rows=max(size, 1),
            max_delay_s=float(value("max_batch_delay_s", 0.0)),
            max_in_flight=int(value("instances", _ASYNC_IN_FLIGHT if is_async else 1)),
            max_queue=int(value("max_queue_size", 256)),
        )
        return BatchSettings(
            limits=limits,
            joins=size > 0,
            form=Form(value("batch_form", "strict")),
            pad_value=float(value("pad_value", 0)),
            least_rows=int(value("least_rows", 1)),
        )
    except (TypeError, ValueError) as error:
        raise ContractError(f"batching of {type(target).__name__}: {error}") from error


def _specs(declared: Any, where: str) -> tuple[TensorSpec, ...]:
    return tuple(_spec(each, f"{where}[{position}]") for position, each in enumerate(declared))


def _spec(each: Any, where: str) -> TensorSpec:
    if isinstance(each, TensorSpec):
        return each
    try:
        spec = TensorSpec(
            each["name"], each["datatype"], tuple(map(int, each["shape"])), bool(each.get("optional", False))
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(f"{where}: write name, datatype and shape ({error})") from error
    if spec.datatype not in DATATYPES:
        raise ContractError(f"{where}: datatype {spec.datatype!r} is unknown; use one of {', '.join(DATATYPES)}")
    return spec


def accepts(method: Callable[..., Any] | None, name: str) -> bool:
    """Return whether a callable has a parameter `name`; raises TypeError and ValueError for one without a signature."""
    if method is None:
        return False
    function: Any = method
    constructor: Any = getattr(method, "__new__", None)
    if isinstance(method, type) and type(method).__call__ is type.__call__ and constructor is object.__new__:
        function = getattr(method, "__init__", None)
    function = getattr(function, "__func__", function)
    if type(function) is not FunctionType or vars(function) or hasattr(method, "__signature__"):
        return name in inspect.signature(method).parameters
    # What a signature would say of a plain function; to make one takes a fifth of a millisecond and 300 KB of pages.
    code = function.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return name in code.co_varnames[function is not method : count]


async def _resolved(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _texts(value: Any) -> Any:
    """Return BYTES elements as text, where they are."""
    if isinstance(value, list):
        return [_texts(each) for each in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _plain(value: Any) -> Any:
    """Return a value that JSON can carry: arrays become lists, numpy's scalars numbers."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


class RowByRow:
    """A model that takes one row at a time, made fit for batches: predict is called once per row."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Call the model for each row and stack its answers."""
        rows = len(next(iter(inputs.values())))
        answers = [self._target.predict({name: array[at] for name, array in inputs.items()}) for at in range(rows)]
        if not isinstance(answers[0], Mapping):
            specs = _specs(getattr(self._target, "outputs", ()), "outputs")
            return {specs[0].name if specs else "output": np.stack([np.asarray(answer) for answer in answers])}
        return {name: np.stack([np.asarray(answer[name]) for answer in answers]) for name in answers[0]}


def wrap(target: Any) -> Model:
    """Return the model of an object; one that is not batch-aware is called row by row."""
    return Model(target if getattr(target, "batch_aware", True) else RowByRow(target))
