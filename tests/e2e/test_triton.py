"""The real Triton server behind gateway, activator and queueproxy: a torch model in its Python backend, asked by every
client of tritonclient, from zero and warm."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from loadtest.figures import ROOT
from loadtest.instance import Instance, eventually
from runtimes.triton import install, locate
from tidegate.kube import resources
from tidegate.process.settings import SettingsError

pytestmark = pytest.mark.timeout(300)
pytest.importorskip("tritonclient.grpc", reason="pip install 'tidegate[triton]'")

HOST = "triton-digits.default.localhost"
REVISION = "triton-digits-predictor-00001"
MODEL = "digits"
TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def triton() -> None:
    """Triton itself, from the wheel; fetched once, beside the user's caches."""
    try:
        install.install()
        locate.find("", {})
    except (subprocess.SubprocessError, SettingsError) as error:
        pytest.skip(f"no Triton here: {error}")


@pytest.fixture(scope="module")
def repository(triton: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="pip install 'tidegate[torch]'")
    folder = tmp_path_factory.mktemp("triton-digits")
    subprocess.run([sys.executable, "-m", "examples.triton_digits", str(folder)], check=True, timeout=120, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def images() -> tuple[Any, Any]:
    """Held-out images with their digits."""
    from examples.digits import model

    _, images, _, digits = model.load_split()
    return images[:40].astype(np.float32), digits[:40]


Ask = Callable[[Instance, Any], Awaitable[Any]]


def tensors(module: Any, pixels: Any, **binary: bool) -> Any:
    made = module.InferInput("pixels", list(pixels.shape), "FP32")
    made.set_data_from_numpy(pixels, **binary)
    return [made]


async def by_http(instance: Instance, pixels: Any, *, binary: bool = True) -> Any:
    import tritonclient.http.aio as client

    async with client.InferenceServerClient(f"127.0.0.1:{instance.port}", conn_timeout=TIMEOUT_S) as asked:
        wanted = [client.InferRequestedOutput("digit", binary_data=binary)]
        inputs = tensors(client, pixels, binary_data=binary)
        return (await asked.infer(MODEL, inputs, outputs=wanted, headers={"Host": HOST})).as_numpy("digit")


async def by_json(instance: Instance, pixels: Any) -> Any:
    return await by_http(instance, pixels, binary=False)


async def by_grpc(instance: Instance, pixels: Any) -> Any:
    import tritonclient.grpc.aio as client

    options = [("grpc.default_authority", HOST)]
    async with client.InferenceServerClient(f"127.0.0.1:{instance.port}", channel_args=options) as asked:
        answer = await asked.infer(MODEL, tensors(client, pixels), client_timeout=TIMEOUT_S)
        return answer.as_numpy("digit")


def blocking(program: str) -> Ask:
    """The blocking clients, each in a process of its own: gevent's and gRPC's threads stay out of this one."""

    async def ask(instance: Instance, pixels: Any) -> Any:
        document = json.dumps({"port": instance.port, "host": HOST, "pixels": pixels.tolist()})
        said = await instance.command(sys.executable, "-c", BLOCKING, program, document)
        return np.array(json.loads(said))

    return ask


BLOCKING = """
import json, sys
import numpy as np
asked = json.loads(sys.argv[2])
pixels = np.array(asked["pixels"], dtype=np.float32)
url = f"127.0.0.1:{asked['port']}"
if sys.argv[1] == "grpc":
    import tritonclient.grpc as client
    made = client.InferInput("pixels", list(pixels.shape), "FP32")
    made.set_data_from_numpy(pixels)
    server = client.InferenceServerClient(url, channel_args=[("grpc.default_authority", asked["host"])])
    answer = server.infer("digits", [made], client_timeout=60)
else:
    import tritonclient.http as client
    binary = sys.argv[1] == "binary"
    made = client.InferInput("pixels", list(pixels.shape), "FP32")
    made.set_data_from_numpy(pixels, binary_data=binary)
    wanted = [client.InferRequestedOutput("digit", binary_data=binary)]
    server = client.InferenceServerClient(url, connection_timeout=60, network_timeout=60)
    answer = server.infer("digits", [made], outputs=wanted, headers={"Host": asked["host"]})
print(json.dumps(answer.as_numpy("digit").tolist()))
"""

CLIENTS: dict[str, Ask] = {
    "http.aio binary": by_http,
    "http.aio json": by_json,
    "grpc.aio": by_grpc,
    "http binary": blocking("binary"),
    "http json": blocking("json"),
    "grpc": blocking("grpc"),
}


def document(repository: Path) -> dict[str, Any]:
    """The example's own YAML, of this folder and with a short window."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "triton_digits" / "inferenceservice.yaml").read_text())
    found["metadata"]["annotations"] = {"autoscaling.knative.dev/window": "6s"}
    found["spec"]["predictor"]["model"]["storageUri"] = f"file://{repository}"
    return found


async def kill_pods(instance: Instance) -> None:
    """Take the revision to zero now: what its window would do in its own time."""
    await instance.wait_zero(REVISION)


async def test_every_client_from_zero_and_warm(
    instance: Instance, kubectl: str, repository: Path, images: tuple[Any, Any], tmp_path: Path
) -> None:
    file = tmp_path / "service.json"
    file.write_text(json.dumps(document(repository)))
    await instance.command(kubectl, "apply", "-f", str(file))
    await instance.command(kubectl, "wait", "--for=condition=Ready", "isvc/triton-digits", "--timeout=90s")
    pixels, digits = images
    for name, ask in CLIENTS.items():
        await kill_pods(instance)
        cold = await ask(instance, pixels)
        assert (cold[:, 0] == digits).mean() > 0.9, name
        warm = await ask(instance, pixels)
        assert (cold == warm).all(), name
