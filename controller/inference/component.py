"""What one component of an InferenceService asks for, whichever of the API's ways it is written in.

Pure. A predictor names its model by `model.modelFormat`, by a legacy key (`sklearn: {storageUri}`), or brings a
container of its own. Fields and defaults are KServe's v1beta1 API.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

from controller.inference import frame_settings
from controller.reconcile.outcome import Object
from tidegate.contracts import problems, recreate
from tidegate.contracts.problems import FieldProblem

PREDICTOR, TRANSFORMER, EXPLAINER = "predictor", "transformer", "explainer"
COMPONENTS = (PREDICTOR, TRANSFORMER, EXPLAINER)
COPY = "predictor-copy"
"""A second Knative Service of the predictor, for its explainer alone: it scales by itself, from zero."""
ALL_KINDS = (*COMPONENTS, COPY)
EXPLAINER_ASKS_ANNOTATION = "tidegate.dev/explainer-asks"
LEGACY_FORMATS = (
    "sklearn",
    "xgboost",
    "lightgbm",
    "tensorflow",
    "pytorch",
    "triton",
    "onnx",
    "huggingface",
    "pmml",
    "paddle",
)
V2_FORMATS = frozenset({"triton", "onnx", "huggingface"})
PROTOCOLS = ("v1", "v2", "grpc-v1", "grpc-v2")
METRICS = ("concurrency", "rps", "cpu", "memory")
RECREATE, ROLLING_UPDATE = "Recreate", "RollingUpdate"
MAIN_CONTAINER = "kserve-container"

_EXTENSION = (
    "minReplicas",
    "maxReplicas",
    "scaleTarget",
    "scaleMetric",
    "containerConcurrency",
    "timeout",
    "canaryTrafficPercent",
    "deploymentStrategy",
    "labels",
    "annotations",
)
_NOT_YET = ("workerSpec", "autoScaling", "storageUris", "scaleMetricType")
_OF_A_MODEL = ("modelFormat", "runtime", "runtimeVersion", "storageUri", "storage", "protocolVersion")


@dataclass(frozen=True)
class Model:
    """A model to be served by a runtime: `container` holds what the author wants otherwise in the runtime's."""

    format: str
    version: str = ""
    runtime: str = ""
    runtime_version: str = ""
    storage_uri: str = ""
    protocol: str = "v1"
    container: Object = field(default_factory=dict)


@dataclass(frozen=True)
class Component:
    """One component. `model` is None for one that brings its own containers, which are then part of `pod`."""

    kind: str
    model: Model | None
    pod: Object
    min_replicas: int = 1
    max_replicas: int = 0
    scale_target: int | None = None
    scale_metric: str = ""
    concurrency: int | None = None
    timeout_s: int | None = None
    canary_percent: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    frame: dict[str, Object] = field(default_factory=dict)
    """`logger` and `batcher`, where they are given."""


def read(service: Object, kind: str) -> Component | None:
    """Return a component of an InferenceService, None when it has none of that kind. The object must be valid."""
    spec = (service.get("spec") or {}).get(kind)
    if spec is None:
        return None
    model = _model(spec) if kind == PREDICTOR else None
    extras = (frame_settings.LOGGER, frame_settings.BATCHER)
    taken = {*_EXTENSION, *_NOT_YET, *LEGACY_FORMATS, *extras, "model"}
    return Component(
        kind=kind,
        model=model,
        pod={key: copy.deepcopy(value) for key, value in spec.items() if key not in taken},
        min_replicas=int(_or(spec.get("minReplicas"), 1)),
        max_replicas=int(spec.get("maxReplicas") or 0),
        scale_target=spec.get("scaleTarget"),
        scale_metric=str(spec.get("scaleMetric") or ""),
        concurrency=spec.get("containerConcurrency"),
        timeout_s=spec.get("timeout"),
        canary_percent=spec.get("canaryTrafficPercent"),
        labels=dict(spec.get("labels") or {}),
        annotations={**_rollout(spec), **(spec.get("annotations") or {})},
        frame={key: dict(spec[key] or {}) for key in extras if key in spec},
    )


def scaling_of(kind: str, spec: Object) -> Component:
    """Return a component that has nothing but the replicas and the metric of `spec`."""
    return Component(
        kind=kind,
        model=None,
        pod={},
        min_replicas=int(_or(spec.get("minReplicas"), 1)),
        max_replicas=int(spec.get("maxReplicas") or 0),
        scale_target=spec.get("scaleTarget"),
        scale_metric=str(spec.get("scaleMetric") or ""),
    )


def read_all(service: Object) -> list[Component]:
    """Return every component of an InferenceService, the copy for its explainer included. The object must be valid."""
    parts = [one for kind in COMPONENTS if (one := read(service, kind)) is not None]
    if has_copy(service):
        # It logs nothing: what an explainer tries out is no request of anybody.
        parts.append(replace(parts[0], kind=COPY, min_replicas=0, canary_percent=None, frame={}))
    return parts


def has_copy(service: Object) -> bool:
    """Whether the explainer asks a copy of the predictor and leaves the one that serves alone."""
    asked = ((service.get("metadata") or {}).get("annotations") or {}).get(EXPLAINER_ASKS_ANNOTATION)
    return asked == "copy" and bool((service.get("spec") or {}).get(EXPLAINER))


def validate(service: Object) -> list[FieldProblem]:
    """Return what is wrong with an InferenceService's spec, every problem with its field."""
    spec = service.get("spec") or {}
    found = [problems.disallowed(f"spec.{key}") for key in sorted(set(spec) - {*COMPONENTS})]
    asked = ((service.get("metadata") or {}).get("annotations") or {}).get(EXPLAINER_ASKS_ANNOTATION)
    if asked not in (None, "predictor", "copy"):
        where = f"metadata.annotations.{EXPLAINER_ASKS_ANNOTATION}"
        found.append(problems.invalid(asked, where, "expected predictor or copy"))
    if not spec.get(PREDICTOR):
        return [*found, problems.missing("spec.predictor")]
    for kind in COMPONENTS:
        if spec.get(kind):
            found += problems.under(f"spec.{kind}", _validate(spec[kind], kind))
    return found


def _validate(spec: Object, kind: str) -> list[FieldProblem]:
    found = [FieldProblem(f"{key} is not served yet", (key,)) for key in _NOT_YET if spec.get(key)]
    found += frame_settings.validate(spec)
    ways = [key for key in ("model", *LEGACY_FORMATS, "containers") if spec.get(key) is not None]
    if kind != PREDICTOR and ways != ["containers"]:
        found.append(problems.missing("containers"))
    elif kind == PREDICTOR and not [way for way in ways if way != "containers"] and "containers" not in ways:
        found.append(FieldProblem("expected exactly one, got neither", ("model", "containers", *LEGACY_FORMATS)))
    elif kind == PREDICTOR and len([way for way in ways if way != "containers"]) > 1:
        found.append(FieldProblem("expected exactly one, got several", tuple(ways)))
    if spec.get("model"):
        found += problems.under("model", _validate_model(spec["model"]))
    found += validate_scaling(spec)
    found += problems.under("deploymentStrategy", _validate_strategy(spec.get("deploymentStrategy") or {}))
    percent = spec.get("canaryTrafficPercent")
    if percent is not None and not (_is_count(percent) and percent <= 100):
        found.append(problems.out_of_bounds(percent, 0, 100, "canaryTrafficPercent"))
    return found


def validate_scaling(spec: Object) -> list[FieldProblem]:
    """Return what is wrong with the replicas and the metric of a component or a graph."""
    found = []
    least, most = _or(spec.get("minReplicas"), 1), spec.get("maxReplicas") or 0
    if not _is_count(least):
        found.append(problems.invalid(least, "minReplicas"))
    elif not _is_count(most) or (most and most < least):
        found.append(problems.invalid(most, "maxReplicas"))
    if spec.get("scaleMetric") not in (None, "", *METRICS):
        found.append(problems.invalid(spec["scaleMetric"], "scaleMetric"))
    return found


def _validate_strategy(strategy: Object) -> list[FieldProblem]:
    found = [problems.disallowed(key) for key in sorted(set(strategy) - {"type"})]
    if strategy and strategy.get("type") not in (RECREATE, ROLLING_UPDATE):
        found.append(problems.invalid(strategy.get("type"), "type", f"expected {RECREATE} or {ROLLING_UPDATE}"))
    return found


def _rollout(spec: Object) -> dict[str, str]:
    is_recreate = (spec.get("deploymentStrategy") or {}).get("type") == RECREATE
    return {recreate.ANNOTATION: recreate.RECREATE} if is_recreate else {}


def _validate_model(model: Object) -> list[FieldProblem]:
    found = []
    if not (model.get("modelFormat") or {}).get("name"):
        found.append(problems.missing("modelFormat.name"))
    if model.get("protocolVersion") not in (None, "", *PROTOCOLS):
        found.append(problems.invalid(model["protocolVersion"], "protocolVersion"))
    if model.get("storage"):
        found.append(FieldProblem("storage is not served yet: write storageUri", ("storage",)))
    return found


def _model(spec: Object) -> Model | None:
    if written := spec.get("model"):
        form = written["modelFormat"]
        return _built(str(form["name"]), written, str(form.get("version") or ""))
    for name in LEGACY_FORMATS:
        if spec.get(name) is not None:
            return _built(name, spec[name], "")
    return None


def _built(name: str, written: Object, version: str) -> Model:
    return Model(
        format=name,
        version=version,
        runtime=str(written.get("runtime") or ""),
        runtime_version=str(written.get("runtimeVersion") or ""),
        storage_uri=str(written.get("storageUri") or ""),
        protocol=str(written.get("protocolVersion") or ("v2" if name in V2_FORMATS else "v1")),
        container={key: copy.deepcopy(value) for key, value in written.items() if key not in _OF_A_MODEL},
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _or(value: object, default: int) -> int:
    return default if value is None else value  # type: ignore[return-value]
