"""A Knative Service's YAML as the simulator needs it: annotations, concurrency, timeout, resources.

The document is checked with the same rules as at the API; complaints name the file and the field. Pods, images and
probes are of no interest here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from cluster import quantities
from queueproxy.config import QUEUE_PER_SLOT
from tidegate.contracts import autoscaling
from tidegate.contracts.autoscaling import DEFAULTS, AutoscalerConfig, ScalingSpec

SLOTS_WITHOUT_LIMIT = 100
TIMEOUT_S = 300.0
GPU = "nvidia.com/gpu"
GIB = Decimal(2**30)


class AppError(ValueError):
    """The file is not a Knative Service that can be simulated; names the file and the field."""


@dataclass(frozen=True)
class App:
    """What is simulated. `container_concurrency` 0 is no limit; cpu in cores, memory in GiB, per pod."""

    name: str = "app"
    annotations: dict[str, str] = field(default_factory=dict)
    container_concurrency: int = 0
    timeout_s: float = TIMEOUT_S
    cpu: float = 1.0
    memory_gib: float = 0.5
    gpus: float = 0.0
    config: AutoscalerConfig = DEFAULTS

    @property
    def spec(self) -> ScalingSpec:
        """The scaling spec that the annotations resolve to, schedules aside."""
        return self.spec_at(None)

    def spec_at(self, unix_s: float | None) -> ScalingSpec:
        """Return the scaling spec at a time in seconds since 1970; None: without schedules."""
        reachable = autoscaling.Reachability.REACHABLE
        return autoscaling.resolve_spec(
            self.annotations, self.container_concurrency, self.config, reachable, unix_s=unix_s
        )

    @property
    def slots(self) -> int:
        """Requests at once that one pod is meant for; used by policies that count seats."""
        if self.container_concurrency:
            return self.container_concurrency
        spec = self.spec
        return math.ceil(spec.total) if spec.metric == "concurrency" else SLOTS_WITHOUT_LIMIT

    @property
    def queue_limit(self) -> int:
        """Requests that may wait in one pod's queueproxy."""
        return QUEUE_PER_SLOT * self.container_concurrency

    def annotated(self, changes: dict[str, str]) -> App:
        """Return the app with some annotations changed; raises AppError for a value that the API would refuse."""
        changed = replace(self, annotations=self.annotations | changes)
        _check_annotations(self.name, changed.annotations, self.config)
        return changed


def load(path: Path, config: AutoscalerConfig = DEFAULTS) -> App:
    """Return the first Knative Service in a YAML file; raises AppError."""
    try:
        documents = list(yaml.safe_load_all(path.read_text()))
    except (OSError, UnicodeDecodeError) as error:
        raise AppError(f"{path}: it cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise AppError(f"{path}: it is not YAML: {error}") from error
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "Service":
            return _read(path, document, config)
    raise AppError(f"{path}: it has no document of kind Service (serving.knative.dev/v1)")


def load_config(path: Path) -> AutoscalerConfig:
    """Return the settings in a ConfigMap's YAML; raises AppError."""
    try:
        document = yaml.safe_load(path.read_text())
        data = document.get("data") or {}
        return autoscaling.parse_config({str(key): str(value) for key, value in data.items()})
    except (OSError, AttributeError, yaml.YAMLError, autoscaling.ConfigError) as error:
        raise AppError(f"{path}: it is not a usable ConfigMap config-autoscaler: {error}") from error


def _read(path: Path, document: dict[str, Any], config: AutoscalerConfig) -> App:
    if not str(document.get("apiVersion")).startswith("serving.knative.dev/"):
        raise AppError(f"{path}: apiVersion is {document.get('apiVersion')}, not serving.knative.dev/v1")
    template = _mapping(path, _mapping(path, document, "spec"), "template")
    metadata, spec = template.get("metadata") or {}, _mapping(path, template, "spec")
    annotations = {str(key): str(value) for key, value in (metadata.get("annotations") or {}).items()}
    _check_annotations(str(path), annotations, config)
    containers = spec.get("containers")
    if not isinstance(containers, list) or not containers or not isinstance(containers[0], dict):
        raise AppError(f"{path}: field spec.template.spec.containers must list a container")
    resources = containers[0].get("resources") or {}
    wanted = (resources.get("limits") or {}) | (resources.get("requests") or {})
    return App(
        name=str((document.get("metadata") or {}).get("name") or path.stem),
        annotations=annotations,
        container_concurrency=int(_number(path, spec, "containerConcurrency", 0)),
        timeout_s=float(_number(path, spec, "timeoutSeconds", 0) or TIMEOUT_S),
        cpu=_quantity(path, wanted, "cpu", 1.0),
        memory_gib=_quantity(path, wanted, "memory", 0.5 * float(GIB)) / float(GIB),
        gpus=_quantity(path, wanted, GPU, 0.0),
        config=config,
    )


def _check_annotations(where: str, annotations: dict[str, str], config: AutoscalerConfig) -> None:
    problems = autoscaling.validate_annotations(annotations, config)
    if problems:
        raise AppError(f"{where}: field spec.template.metadata.annotations: {problems[0].render()}")


def _mapping(path: Path, parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    if not isinstance(value, dict):
        raise AppError(f"{path}: field {name} is missing or not an object")
    return value


def _number(path: Path, parent: dict[str, Any], name: str, low: int) -> int:
    value = parent.get(name) or 0
    if not isinstance(value, int) or value < low:
        raise AppError(f"{path}: field spec.template.spec.{name} is {value!r}: it must be a whole number >= {low}")
    return value


def _quantity(path: Path, wanted: dict[str, Any], name: str, default: float) -> float:
    if name not in wanted:
        return default
    try:
        return float(quantities.parse(wanted[name]))
    except ValueError as error:
        raise AppError(f"{path}: field resources {name}: {error}") from error
