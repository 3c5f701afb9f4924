"""The server as a process: started by an import path, answers, drains on SIGTERM; says in one line what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.model_servers import client_of, serving
from tidegate.contracts import wake

MODEL = """
class Plus:
    def predict(self, inputs, parameters=None):
        return inputs["instances"] + 1
"""


def run(module: str, *arguments: str, cwd: Path, **environ: str) -> subprocess.Popen[str]:
    """Start a runtime with this repository on its path."""
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", module, *arguments]
    variables = {**os.environ, "PYTHONPATH": root, **environ}
    return subprocess.Popen(command, cwd=cwd, env=variables, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_class_by_its_import_path_until_sigterm(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODEL)
    process = run("runtimes.python", "mine:Plus", "--model-name", "plus", cwd=tmp_path, PORT="0")
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert "serving plus on" in line, line + process.stderr.read()
        port = int(line.partition("127.0.0.1:")[2].split('"')[0])
        url = f"http://127.0.0.1:{port}/v1/models/plus:predict"
        with urllib.request.urlopen(url, b'{"instances": [1, 2]}', timeout=30) as answer:
            assert answer.read() == b'{"predictions":[2,3]}'
            assert answer.headers["X-Tidegate-Start"] is None
        _check_start(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def _check_start(port: int) -> None:
    """Who asks for its health hears how it started: every phase, and they are all of the time it took."""
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/plus/ready", "/v1/models/plus", "/ping"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            start = wake.decode_start(answer.headers["X-Tidegate-Start"].encode())
        assert start is not None and start.way == "plain"
        took_s = [value for value in start.own_s if value is not None]
        assert len(took_s) == 4 and start.all_s is not None
        assert sum(took_s) == pytest.approx(start.all_s, abs=1e-5)  # told to a microsecond each
        assert took_s[1] > 0  # imports


async def test_a_class_by_setting_gets_its_folder(tmp_path: Path) -> None:
    named = "tests.runtimes.test_process:Shelf"
    async with serving(model_class=named, model_dir=str(tmp_path)) as frame, client_of(frame) as http:
        answer = await http.post("/v1/models/model:predict", {"instances": [1]})
        assert answer == (200, {"predictions": [str(tmp_path)]})


class Shelf:
    """Answers where it lies."""

    payload = "json"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def predict(self, rows: list[object]) -> list[str]:
        return [str(self.folder) for _ in rows]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("runtimes.python", "no.such:Thing"), "importing 'no.such'"),
        (("runtimes.onnx",), "no model: set model_dir"),
        (("runtimes.onnx", "--model-dir", "nowhere"), "there is no folder nowhere"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    process = run(*arguments, cwd=tmp_path, PORT="0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("error: ") and text in errors and errors.count("\n") == 1
