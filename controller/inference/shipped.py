"""The runtimes that come with Tidegate, for InferenceServices that name a format only.

Pure data. They stand behind every ServingRuntime and ClusterServingRuntime that users have: a runtime of the cluster
with the same name takes the place of the shipped one.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.reconcile.outcome import Object

PROTOCOLS = ("v1", "v2", "grpc-v2")
FORMATS = {
    "tidegate-lightgbm": ("lightgbm", "lightgbm"),
    "tidegate-onnx": ("onnx", "onnx"),
    "tidegate-sklearn": ("sklearn", "sklearn"),
    "tidegate-torch": ("torch", "pytorch"),
    "tidegate-triton": ("triton", "triton"),
    "tidegate-xgboost": ("xgboost", "xgboost"),
}
"""Name of the runtime -> the module of `runtimes` that runs, the model format it serves."""


def runtimes(existing: Sequence[Object] = ()) -> list[Object]:
    """Return `existing` and the shipped ones whose names are not taken."""
    taken = {one["metadata"]["name"] for one in existing}
    return [*existing, *(_runtime(name, *FORMATS[name]) for name in sorted(FORMATS) if name not in taken)]


def _runtime(name: str, module: str, form: str) -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterServingRuntime",
        "metadata": {"name": name},
        "spec": {
            "supportedModelFormats": [{"name": form, "autoSelect": True, "priority": 0}],
            "protocolVersions": list(PROTOCOLS),
            "containers": [
                {
                    "name": "kserve-container",
                    "image": f"tidegate.dev/runtimes/{module}",
                    "args": ["--model-name={{.Name}}", "--model-path=/mnt/models"],
                }
            ],
        },
    }
