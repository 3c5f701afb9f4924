"""From KFServing's `serving.kubeflow.org/v1alpha2` InferenceService to `serving.kserve.io/v1beta1`.

Pure. The old API has two whole specs, `default` and `canary`, and a percentage; the new one has a single spec and a
percentage for its latest edit. So an old object with a canary becomes two new ones of the same name, to be applied one
after the other: the default, and when that is ready, the canary with its percentage.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

OLD_API_VERSIONS = ("serving.kubeflow.org/v1alpha2",)
NEW_API_VERSION = "serving.kserve.io/v1beta1"
OLD_PREFIX, NEW_PREFIX = "serving.kubeflow.org/", "serving.kserve.io/"
FRAMEWORKS = {
    "tensorflow": "tensorflow",
    "tensorrt": "triton",
    "triton": "triton",
    "xgboost": "xgboost",
    "sklearn": "sklearn",
    "onnx": "onnx",
    "pytorch": "pytorch",
}
_EXTENSION = ("minReplicas", "maxReplicas", "serviceAccountName", "logger", "batcher")
_COMPONENTS = ("predictor", "transformer", "explainer")


class ConvertError(ValueError):
    """The object cannot be converted; the message names the field and what to do."""


def convert(old: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the one or two v1beta1 objects for an old one, in the order to apply; raises `ConvertError`."""
    if old.get("apiVersion") not in OLD_API_VERSIONS or old.get("kind") != "InferenceService":
        raise ConvertError(
            f"apiVersion, kind: {old.get('apiVersion')} {old.get('kind')} is not {OLD_API_VERSIONS[0]} InferenceService"
        )
    spec = old.get("spec")
    if not isinstance(spec, Mapping) or not isinstance(spec.get("default"), Mapping):
        raise ConvertError("spec.default: missing; it holds the predictor")
    unknown = sorted(set(spec) - {"default", "canary", "canaryTrafficPercent"})
    if unknown:
        raise ConvertError(f"spec.{unknown[0]}: not a field of {OLD_API_VERSIONS[0]}")
    made = [_object(old, _spec(spec["default"], "spec.default"))]
    if spec.get("canary"):
        percent = spec.get("canaryTrafficPercent", 0)
        if not isinstance(percent, int) or isinstance(percent, bool) or not 0 <= percent <= 100:
            raise ConvertError(f"spec.canaryTrafficPercent: {percent!r} is not a whole number from 0 to 100")
        canary = _spec(spec["canary"], "spec.canary")
        canary["predictor"]["canaryTrafficPercent"] = percent
        made.append(_object(old, canary))
    return made


def _object(old: Mapping[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    metadata = copy.deepcopy(dict(old.get("metadata") or {}))
    for key in ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"):
        metadata.pop(key, None)
    if annotations := metadata.get("annotations"):
        metadata["annotations"] = {
            key.replace(OLD_PREFIX, NEW_PREFIX): value
            for key, value in annotations.items()
            if key != "kubectl.kubernetes.io/last-applied-configuration"
        }
    return {"apiVersion": NEW_API_VERSION, "kind": "InferenceService", "metadata": metadata, "spec": spec}


def _spec(old: Mapping[str, Any], where: str) -> dict[str, Any]:
    unknown = sorted(set(old) - set(_COMPONENTS))
    if unknown:
        raise ConvertError(f"{where}.{unknown[0]}: not a component ({', '.join(_COMPONENTS)})")
    if not old.get("predictor"):
        raise ConvertError(f"{where}.predictor: missing")
    return {kind: _component(old[kind], f"{where}.{kind}") for kind in _COMPONENTS if old.get(kind)}


def _component(old: Mapping[str, Any], where: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in old.items():
        if key in _EXTENSION:
            made[key] = copy.deepcopy(value)
        elif key == "parallelism":
            made["containerConcurrency"] = value
        elif key == "custom":
            made["containers"] = [_container(value, f"{where}.custom")]
        elif key in FRAMEWORKS:
            made[FRAMEWORKS[key]] = _framework(value, f"{where}.{key}")
        elif key == "alibi":
            raise ConvertError(f"{where}.alibi: explainers of this type are gone; bring a container (custom)")
        else:
            raise ConvertError(f"{where}.{key}: not a field that can be converted")
    return made


def _framework(old: Mapping[str, Any], where: str) -> dict[str, Any]:
    unknown = sorted(set(old) - {"storageUri", "runtimeVersion", "resources", "modelClassName"})
    if unknown:
        raise ConvertError(f"{where}.{unknown[0]}: not a field that can be converted")
    made = {key: copy.deepcopy(old[key]) for key in ("storageUri", "runtimeVersion", "resources") if key in old}
    if "modelClassName" in old:
        made["env"] = [{"name": "MODEL_CLASS_NAME", "value": old["modelClassName"]}]
    return made


def _container(old: Mapping[str, Any], where: str) -> dict[str, Any]:
    container = old.get("container")
    if not isinstance(container, Mapping):
        raise ConvertError(f"{where}.container: missing")
    return copy.deepcopy(dict(container))
