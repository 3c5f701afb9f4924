"""A rehearsed start leaves nothing behind but what a second start finds done, and the process may be forked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEAVES = """
import json, logging, os, sys, tempfile, threading, time, warnings
from concurrent.futures import thread as pools
from runtimes import rehearsal
from tidegate.process import start_clock
from PREPARE import before_forks

def state():
    return {
        "threads": [thread.name for thread in threading.enumerate()],
        "files": sorted(os.listdir("/proc/self/fd")),
        "handlers": len(logging.getLogger().handlers),
        "folders": [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("tidegate-rehearsal")],
        "models": [name for name in sys.modules if name.startswith("tidegate_model")],
        "clock": start_clock._this is None,
    }

worker = pools._worker

def ends_late(*arguments):
    worker(*arguments)
    time.sleep(0.2)  # as on a busy machine: it was told to end, and has not run yet

pools._worker = ends_late
before = state()
before_forks()
print(json.dumps([before, state()]))
"""
PYTHON_MODEL = """
import json

def make(folder):
    text = "class Model:\\n    def predict(self, inputs):\\n        return inputs['x'] + 1\\n"
    (folder / "model.py").write_text(text)

def before_forks():
    rehearsal.rehearse(make, json.dumps(QUESTION).encode())
"""
QUESTION = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}]}
TORCH_AFTER = """
import torch
from runtimes.torch import rehearsal
threads = torch.get_num_threads()
rehearsal.before_forks()
assert torch.get_num_threads() == threads
if not (pid := os.fork()):
    torch.set_num_threads(2)
    with torch.inference_mode():
        torch.nn.Linear(512, 512)(torch.ones(512, 512))
        torch.ones(1 << 20).exp().sum()
    os._exit(0)
print(json.dumps(os.waitpid(pid, 0)[1]))
"""


def said(code: str, tmp_path: Path) -> object:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=False,
        cwd=ROOT,
        env={"PATH": "", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_rehearsal_leaves_nothing_behind(tmp_path: Path) -> None:
    code = LEAVES.replace("from PREPARE import before_forks", f"QUESTION = {QUESTION}\n{PYTHON_MODEL}")
    before, after = said(code, tmp_path)  # type: ignore[misc]
    assert after == before


def test_a_rehearsal_that_gets_no_answer_says_so_and_leaves_nothing_either(tmp_path: Path) -> None:
    code = LEAVES.replace("from PREPARE import before_forks", f"QUESTION = {QUESTION}\n{PYTHON_MODEL}").replace(
        "before_forks()\nprint",
        "try:\n    before_forks()\nexcept RuntimeError as error:\n    failed = str(error)\nprint",
    )
    code = code.replace("inputs['x'] + 1", "1 / 0").replace("state()])", "state(), failed])")
    before, after, failed = said(code, tmp_path)  # type: ignore[misc]
    assert after == before
    assert "POST /v2/models/model/infer was answered" in failed


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_process_that_rehearsed_torch_computes_in_threads_of_its_children(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    assert said("import json, os\n" + TORCH_AFTER, tmp_path) == 0
    before, after = said(LEAVES.replace("PREPARE", "runtimes.torch.rehearsal"), tmp_path)  # type: ignore[misc]
    assert after == before
