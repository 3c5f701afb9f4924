"""Model servers that echo, each as the process that it is in earnest, with one worker: ours, MLServer, KServe's.

The peers come from PyPI into virtual environments of their own below ~/.cache/tidegate, made on the first run (a few
minutes, about 600 MB each). Their models do as little as their own interfaces allow: the input tensor goes back.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import processes

MLSERVER = "mlserver==1.7.1"
KSERVE = "kserve==0.21.0"
INSTALL_LIMIT_S = 900

_MLSERVER_MODEL = """
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput


class Echo(MLModel):
    async def load(self) -> bool:
        return True

    async def predict(self, payload):
        outputs = [
            ResponseOutput(name=each.name, shape=each.shape, datatype=each.datatype, data=each.data)
            for each in payload.inputs
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""

_KSERVE_MODEL = """
import logging
import sys

from kserve import InferOutput, InferResponse, Model, ModelServer


class Echo(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def load(self):
        return True

    def predict(self, payload, headers=None):
        outputs = [
            InferOutput(name=each.name, shape=each.shape, datatype=each.datatype, data=each.data)
            for each in payload.inputs
        ]
        return InferResponse(response_id=payload.id or "1", model_name=self.name, infer_outputs=outputs)


if __name__ == "__main__":
    logging.disable(logging.INFO)  # it logs every request three times by default; none of the others log any
    server = ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, workers=1)
    server.start([Echo("echo")])
"""


@dataclass
class Place:
    """Where peers are started: a folder for their files, and the cores that they may use."""

    stack: contextlib.ExitStack
    folder: Path
    cores: set[int]


def environment(name: str, package: str, say: Callable[[str], None]) -> Path:
    """Return the Python of a peer's virtual environment; makes it where it is missing. Raises RuntimeError."""
    folder = Path.home() / ".cache" / "tidegate" / f"peer-{name}"
    python = folder / "bin" / "python"
    mark = folder / f".installed-{package}"
    if mark.exists():
        return python
    say(f"installing {package} into {folder} (once, a few minutes) ...")
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=120)
        command = [str(python), "-m", "pip", "install", "--quiet", package]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_LIMIT_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        detail = getattr(error, "stderr", "") or str(error)
        raise RuntimeError(f"{package} could not be installed: {detail}") from error
    mark.touch()
    return python


def _start(place: Place, command: list[str], port: int) -> tuple[int, int]:
    log = place.folder / f"{port}.log"
    return port, place.stack.enter_context(processes.running(command, port, pinned=place.cores, log=log))


def ours(place: Place, say: Callable[[str], None]) -> tuple[int, int]:
    """Start `python -m runtimes.echo`; returns port and pid."""
    port = processes.free_port()
    command = [sys.executable, "-m", "runtimes.echo", "--port", str(port), "--model-name", "echo"]
    return _start(place, [*command, "--log-level", "warning"], port)


def mlserver(place: Place, say: Callable[[str], None]) -> tuple[int, int]:
    """Start MLServer with inference in its own process (parallel_workers 0)."""
    python = environment("mlserver", MLSERVER, say)
    port = processes.free_port()
    folder = place.folder / "mlserver"
    folder.mkdir()
    (folder / "echo_model.py").write_text(_MLSERVER_MODEL)
    ports = {"http_port": port, "grpc_port": processes.free_port(), "metrics_port": processes.free_port()}
    settings = {"debug": False, "parallel_workers": 0, "host": "127.0.0.1", **ports}
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": "echo", "implementation": "echo_model.Echo"}
    (folder / "model-settings.json").write_text(json.dumps(model))
    return _start(place, [str(python.with_name("mlserver")), "start", str(folder)], port)


def kserve(place: Place, say: Callable[[str], None]) -> tuple[int, int]:
    """Start KServe's Python server with one worker, without gRPC."""
    python = environment("kserve", KSERVE, say)
    port = processes.free_port()
    script = place.folder / "kserve_echo.py"
    script.write_text(_KSERVE_MODEL)
    return _start(place, [str(python), str(script), str(port)], port)


SERVERS: dict[str, Callable[[Place, Callable[[str], None]], tuple[int, int]]] = {
    "ours": ours,
    "mlserver": mlserver,
    "kserve": kserve,
}
