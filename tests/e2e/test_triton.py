"""The real Triton server behind gateway, activator and queueproxy: a torch model in its Python backend, asked by every
client of tritonclient, from zero and warm."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import yaml

from loadtest.figures import ROOT
from loadtest.instance import Instance, eventually, is_leaving
from runtimes.triton import install, locate
from runtimes.triton.process import sweep
from tidegate.process.settings import SettingsError

pytestmark = pytest.mark.timeout(500)
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


async def test_every_client_from_zero_and_warm(
    instance: Instance, kubectl: str, repository: Path, images: tuple[Any, Any], tmp_path: Path
) -> None:
    file = tmp_path / "service.json"
    file.write_text(json.dumps(document(repository)))
    await instance.command(kubectl, "apply", "-f", str(file))
    await instance.command(kubectl, "wait", "--for=condition=Ready", "isvc/triton-digits", "--timeout=110s")
    pixels, digits = images
    for protocol in ("http", "grpc"):
        clients = {name: ask for name, ask in CLIENTS.items() if name.startswith(protocol)}
        await instance.wait_zero(REVISION)
        for state in ("from zero", "warm"):
            answers = await asyncio.gather(*(ask(instance, pixels) for ask in clients.values()))
            for name, answer in zip(clients, answers, strict=True):
                assert answer.shape == (40, 1), (name, state)
                assert (answer[:, 0] == digits).mean() > 0.9, (name, state)
    (pod,) = [pod for pod in await instance.pods_of(REVISION) if not is_leaving(pod)]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


# --- the adapter alone ---

MODELS = {
    "plus": ("FP32", "np.float32", "value + 1"),
    "upper": ("STRING", "np.object_", "np.char.upper(value.astype(bytes)).astype(np.object_)"),
}
PYTHON = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.add_input({{"name": "x", "data_type": "TYPE_{0}", "dims": [-1]}})
        config.add_output({{"name": "y", "data_type": "TYPE_{0}", "dims": [-1]}})
        config.set_max_batch_size(8)
        return config

    def execute(self, requests):
        values = [pb_utils.get_input_tensor_by_name(each, "x").as_numpy() for each in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", {2})]) for value in values]
"""


@pytest.fixture
def models(triton: None, tmp_path: Path) -> Path:
    """Two models of numpy without a config.pbtxt, and one that cannot be loaded."""
    for name, form in MODELS.items():
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "1" / "model.py").write_text(PYTHON.format(*form))
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model.py").write_text("raise ValueError('no good')")
    return tmp_path


@contextlib.contextmanager
def adapter(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The adapter as a process, once it serves; what it says goes where its Triton's does."""
    command = [sys.executable, "-m", "runtimes.triton", *arguments]
    environment = {**os.environ, "PORT": "0"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        drain = None
        try:
            assert process.stderr is not None
            line = next((each for each in process.stderr if "REST and gRPC" in each), "")
            assert line, "the adapter ended before it served"
            drain = threading.Thread(target=process.stderr.read)
            drain.start()
            yield process, int(line.rpartition("127.0.0.1:")[2].partition(",")[0])
        finally:
            process.kill()
            if drain is not None:
                drain.join()


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def is_gone(pids: list[int]) -> bool:
    return not [pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and _cmdline(pid)]


def _cmdline(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()  # empty for one that nobody has waited for
    return b""


async def fetch(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as found:
        return await found.text()


async def until_told(port: int, sample: str) -> None:
    async def is_told() -> bool:
        return sample in (await fetch(f"http://127.0.0.1:{port}/metrics")).splitlines()

    await eventually(is_told, 60, sample, poll_s=0.1)


async def test_models_on_demand_one_at_a_time_and_no_process_outlives_another(models: Path) -> None:
    import tritonclient.grpc.aio as grpc_client
    import tritonclient.http.aio as http_client

    options = ["--model-repository", str(models), "--model-control", "on-demand", "--max-loaded-models", "1"]
    with adapter(*options, "--min-residency-s", "0") as (process, port):
        async with (
            http_client.InferenceServerClient(f"127.0.0.1:{port}") as http,
            grpc_client.InferenceServerClient(f"127.0.0.1:{port}") as grpc,
        ):
            number = http_client.InferInput("x", [1, 3], "FP32")
            number.set_data_from_numpy(np.array([[1, 2, 3]], dtype=np.float32))
            together = await asyncio.gather(*(http.infer("plus", [number]) for _ in range(5)))
            assert [each.as_numpy("y").tolist() for each in together] == [[[2, 3, 4]]] * 5
            await until_told(port, 'nv_inference_request_success{model="plus",version="1"} 5')
            words = grpc_client.InferInput("x", [1, 2], "BYTES")
            words.set_data_from_numpy(np.array([[b"tide", b"gate"]], dtype=np.object_))
            answer = await grpc.infer("upper", [words])
            assert answer.as_numpy("y").tolist() == [[b"TIDE", b"GATE"]]

            async def one_is_loaded() -> bool:
                index = {each["name"]: each.get("state") for each in await http.get_model_repository_index()}
                return (index["plus"], index["upper"]) == ("UNAVAILABLE", "READY")

            await eventually(one_is_loaded, 60, "the one model made room for the other")
            assert await http.is_server_ready()
            with pytest.raises(Exception, match="no good"):
                await http.infer("broken", [number])
            await until_told(port, "tidegate_triton_model_loads_total 2.0")
            await until_told(port, "tidegate_triton_model_load_failures_total 1.0")
        (server,) = children(process.pid)
        os.kill(server, signal.SIGKILL)
        assert await asyncio.to_thread(process.wait, 60) == 1
    assert not list(Path("/dev/shm").glob(f"tidegate-triton-{process.pid}-*"))


async def test_a_killed_adapter_leaves_nothing_behind_that_the_next_does_not_sweep(models: Path) -> None:
    options = ["--model-dir", str(models / "plus"), "--model-name", "sum"]
    with adapter(*options) as (process, _):
        (server,) = children(process.pid)
        family = [server, *children(server)]
        assert len(family) == 2
    await eventually(lambda: is_gone(family), 60, "Triton and its Python processes have ended")
    own = f"tidegate-triton-{process.pid}-*"
    assert list(Path(tempfile.gettempdir()).glob(own))
    sweep()
    assert not [*Path("/dev/shm").glob(own), *Path(tempfile.gettempdir()).glob(own)]
