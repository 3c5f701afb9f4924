"""What can be woken and measured: the examples, and models in the model servers; their YAML, first work and own start.

A model's file is made when it is first asked for: small, and of data that ships with its library.
"""

from __future__ import annotations

import functools
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtest.instance import example
from tidegate.kube.api import Object

MODEL_SERVERS = ("sklearn", "torch")
"""Runtimes with a model of their own here; every other name is an example's."""
READY = "/v2/health/live"
INPUT = 'input [ { name: "image" data_type: TYPE_FP32 dims: [ -1, 64 ] } ]\n'
"""A declared input is what a torch model is warmed up with."""


def document(service: str, name: str, annotations: Mapping[str, str]) -> Object:
    """Return the Knative Service called `name`; with annotations on its template."""
    if service not in MODEL_SERVERS:
        return example(service, service=name, annotations=annotations)
    container = {
        "image": f"tidegate.dev/runtimes/{service}",
        "args": _arguments(service),
        "readinessProbe": {"httpGet": {"path": READY}},
    }
    template = {"metadata": {"annotations": dict(annotations)}, "spec": {"containers": [container]}}
    metadata = {"name": name}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"template": template},
    }


def command(service: str) -> list[str]:
    """Return the command that starts the same program alone."""
    if service not in MODEL_SERVERS:
        return [sys.executable, "-m", f"examples.{service}"]
    return [sys.executable, "-m", f"runtimes.{service}", *_arguments(service)]


def _arguments(service: str) -> list[str]:
    return ["--model-name=digits", f"--model-dir={_folder(service)}"]


@functools.cache
def _folder(service: str) -> Path:
    """Return a folder with a classifier of scikit-learn's digits (64 inputs, 10 classes)."""
    folder = Path(tempfile.mkdtemp(prefix=f"tidegate-{service}-"))
    if service == "torch":
        import torch

        network = torch.nn.Sequential(torch.nn.Linear(64, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10)).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is deprecated; its files are still around
            jit: Any = torch.jit
            jit.trace(network, torch.zeros(1, 64)).save(folder / "model.pt")
        (folder / "config.pbtxt").write_text(INPUT)
        return folder
    import skops.io
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    images, digits = load_digits(return_X_y=True)
    with threadpool_limits(1):  # threads that wait for each other on a busy machine make seconds of a third of one
        model = LogisticRegression(max_iter=500).fit(images / 16, digits)
    skops.io.dump(model, folder / "model.skops")
    return folder
