"""The four real tritonclients through all hops: each from zero, then warm, with binary tensors and with JSON.

Every case has a model server of its own that has never had a pod, so its first request is held by the activator. The
activator stays in the path afterwards (target burst capacity -1): gateway → activator → queueproxy → model server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from loadtest.instance import Instance, eventually
from tidegate.contracts import names
from tidegate.kube import connect, resources
from tidegate.kube.client import Client

pytest.importorskip("tritonclient", reason="pip install tritonclient[grpc,http]")

from tests.support.triton_clients import KINDS, AnyClient, client_to

CASES = [(kind, binary) for kind in KINDS for binary in ((True,) if kind.startswith("grpc") else (True, False))]
"""gRPC has tensors in binary form only."""
READY_TIMEOUT_S = 120.0
GRPC_ARGS = ["--grpc-port=$(PORT)", "--port=0"]
ARRAYS: dict[str, Any] = {
    "FP32": np.array([[0.5, -3e38], [1.25, 0.0]], dtype=np.float32),
    "INT64": np.array([[-(2**53), 2**53]], dtype=np.int64),
    "BYTES": np.array([[b"text", "ü".encode()]], dtype=object),
}
LARGE = np.arange(250_000, dtype=np.float32)


def name_of(kind: str, *, binary: bool) -> str:
    return f"triton-{kind.replace('.', '-')}-{'binary' if binary else 'json'}"


def document(kind: str, name: str) -> dict[str, Any]:
    is_grpc = kind.startswith("grpc")
    container: dict[str, Any] = {
        "image": "tidegate.dev/runtimes/echo",
        "args": ["--model-name=m", *(GRPC_ARGS if is_grpc else [])],
    }
    if is_grpc:
        container["ports"] = [{"name": "h2c", "containerPort": 9000}]
    annotations = {"initial-scale": "0", "target-burst-capacity": "-1", "window": "6s"}
    template = {
        "metadata": {"annotations": {names.AUTOSCALING + key: value for key, value in annotations.items()}},
        "spec": {"containers": [container]},
    }
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"template": template},
    }


@pytest.fixture(scope="module")
def servers(running_instance: Instance) -> Iterator[Instance]:
    """A server for every case, none of them with a pod."""

    async def deploy() -> None:
        async with Client(connect.load(running_instance.kubeconfig), user_agent="e2e") as client:
            running_instance.client = client
            await asyncio.gather(*(start(running_instance, kind, binary) for kind, binary in CASES))

    async def start(instance: Instance, kind: str, binary: bool) -> None:
        name = name_of(kind, binary=binary)
        # Refused until the webhook has heard that an initial scale of 0 is allowed here.
        await eventually(lambda: instance.apply(document(kind, name)), 60, f"{name} is accepted")
        await instance.wait_service_ready(name, READY_TIMEOUT_S)

    asyncio.run(deploy())
    yield running_instance


async def ask(client: AnyClient, binary: bool, name: str, datatype: str, array: Any) -> None:
    inputs, outputs = [client.input(name, datatype, array, binary=binary)], [client.output(name, binary=binary)]
    result = (await client("infer", "m", inputs, outputs=outputs)).as_numpy(name)
    if datatype == "BYTES":
        texts = [value if isinstance(value, bytes) else value.encode() for value in result.ravel().tolist()]
        assert texts == array.ravel().tolist()
    else:
        assert result.dtype == array.dtype and np.array_equal(result, array)


@pytest.mark.parametrize(("kind", "binary"), CASES)
async def test_inference_from_zero_and_warm(servers: Instance, instance: Instance, kind: str, binary: bool) -> None:
    name = name_of(kind, binary=binary)
    revision = await instance.revision_of(name)
    assert await instance.pods_of(revision) == []
    async with client_to(kind, f"127.0.0.1:{instance.port}", f"{name}.default.localhost") as client:
        await ask(client, binary, "x", "FP32", ARRAYS["FP32"])
        assert len(await instance.pods_of(revision)) == 1
        for datatype, array in ARRAYS.items():
            await ask(client, binary, "x", datatype, array)
        if binary:
            await ask(client, binary, "x", "FP32", LARGE)
        assert await client("is_model_ready", "m")
    autoscaler = await instance.client.get(resources.POD_AUTOSCALERS, revision, "default")
    assert autoscaler["status"]["servingMode"] == "Proxy"
