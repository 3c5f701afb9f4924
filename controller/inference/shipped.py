"""The runtimes that come with Tidegate, for InferenceServices that name a format only.

Pure data. They stand behind every ServingRuntime and ClusterServingRuntime that users have: a runtime of the cluster
with the same name takes the place of the shipped one.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.reconcile.outcome import Object
from tidegate.contracts.config.deployment import DEFAULT_RUNTIME_IMAGE

REST, GRPC = ("v1", "v2"), ("grpc-v2",)
GRPC_SUFFIX = "-grpc"
FORMATS = {
    "tidegate-lightgbm": ("lightgbm", "lightgbm"),
    "tidegate-onnx": ("onnx", "onnx"),
    "tidegate-python": ("python", "python"),
    "tidegate-sklearn": ("sklearn", "sklearn"),
    "tidegate-torch": ("torch", "pytorch"),
    "tidegate-triton": ("triton", "triton"),
    "tidegate-xgboost": ("xgboost", "xgboost"),
}
"""Name of the runtime -> the module of `runtimes` that runs, the model format it serves."""
FURTHER_FORMATS = {"tidegate-torch": ("torch", "torchscript", "torch-export", "safetensors")}
"""Other words for what a runtime serves: its files tell by themselves which of them they are."""
TRITON = "triton"
TRITON_FORMATS = ("onnx", "python", "pytorch", "tensorflow", "tensorrt")
"""Which of them a Triton reads depends on its backends, which nobody knows here: for these `runtime` must name it."""


def runtimes(existing: Sequence[Object] = (), image: str = DEFAULT_RUNTIME_IMAGE) -> list[Object]:
    """Return `existing` and the shipped ones whose names are not taken; `image` has `{name}` for the runtime's name."""
    taken = {one["metadata"]["name"] for one in existing}
    made = [
        _runtime(name, image.replace("{name}", module), form, speaks)
        for name, (module, form) in FORMATS.items()
        for speaks in (REST, GRPC)
    ]
    made = [_of_triton(one) if one["metadata"]["name"].startswith("tidegate-triton") else one for one in made]
    return [*existing, *(one for one in made if one["metadata"]["name"] not in taken)]


def _runtime(name: str, image: str, form: str, protocols: Sequence[str]) -> Object:
    served = (form, *FURTHER_FORMATS.get(name, ()))
    # A pod has one serving port; what is served there depends on the protocol that was asked for.
    is_grpc = protocols == GRPC
    ports = ["--grpc-port=$(PORT)", "--port=0"] if is_grpc else []
    container: Object = {
        "name": "kserve-container",
        "image": image,
        "args": ["--model-name={{.Name}}", "--model-dir=/mnt/models", *ports],
    }
    if is_grpc:
        container["ports"] = [{"name": "h2c", "containerPort": 9000}]
    elif form != "triton":
        # Its answer tells how the server started; that a port is open would tell nothing.
        container["readinessProbe"] = {"httpGet": {"path": "/v2/health/live"}}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterServingRuntime",
        "metadata": {"name": name + (GRPC_SUFFIX if is_grpc else "")},
        "spec": {
            "supportedModelFormats": [{"name": one, "autoSelect": True, "priority": 0} for one in served],
            "protocolVersions": list(protocols),
            "containers": [container],
        },
    }


def _of_triton(runtime: Object) -> Object:
    """Triton's adapter serves REST and gRPC on one port; which of them it is spoken to in is the port's name."""
    spec = runtime["spec"]
    is_grpc = spec["protocolVersions"] == list(GRPC)
    container = spec["containers"][0] | {
        "args": ["--model-name={{.Name}}", "--model-dir=/mnt/models"],
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready"}},
    }
    formats = [{"name": name, "autoSelect": False} for name in TRITON_FORMATS]
    protocols = list(GRPC) if is_grpc else ["v2"]
    return runtime | {
        "spec": spec
        | {
            "supportedModelFormats": [*spec["supportedModelFormats"], *formats],
            "protocolVersions": protocols,
            "containers": [container],
        }
    }
