"""What compiled imports (.pyc) save at the start of a program: each one with a full and with an empty cache, by turns.

`PYTHONPYCACHEPREFIX` points one way at a folder that a first start has filled, as `python -m compileall` does for an
image, and the other way at an empty one that stays empty. Nothing of the installation is touched.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loadtest.figures import Bar, Figures, percentile

PROGRAMS = {
    "queueproxy": "import queueproxy.__main__",
    "hello": "import examples.hello.__main__",
    "sklearn": "import runtimes.sklearn.__main__, runtimes.sklearn.opener, sklearn.linear_model",
    "torch": "import runtimes.torch.__main__, runtimes.torch.opener, torch",
}
NEEDS = {"sklearn": "sklearn", "torch": "torch"}
LIMIT_S = 120.0


def measure(rounds: int) -> Figures:
    """Start each program `rounds` times in both ways (about a minute for five)."""
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        ways = {"compiled": Path(folder) / "full", "not compiled": Path(folder) / "empty"}
        chosen = {name: code for name, code in PROGRAMS.items() if _is_installed(NEEDS.get(name))}
        for code in chosen.values():
            _start(code, ways["compiled"], writes=True)
        for _ in range(rounds):
            for name, code in chosen.items():
                for way, prefix in ways.items():
                    seconds = _start(code, prefix, writes=False)
                    figures.rounds.append({"program": name, "way": way, "seconds": round(seconds, 4)})
    for name in chosen:
        _summarise(figures, name)
    figures.notes["left_out"] = sorted(set(PROGRAMS) - set(chosen))
    return figures


def _summarise(figures: Figures, name: str) -> None:
    def median(way: str) -> float:
        found = [one["seconds"] for one in figures.rounds if (one["program"], one["way"]) == (name, way)]
        return percentile(found, 0.5)

    compiled, plain = median("compiled"), median("not compiled")
    figures.bars.append(Bar(f"{name}_not_compiled_over_compiled", plain / compiled, "x", 1.0, at_least=True))
    figures.notes[name] = f"{compiled * 1e3:.0f} ms compiled, {plain * 1e3:.0f} ms not"


def _start(code: str, prefix: Path, *, writes: bool) -> float:
    """Return the seconds of one interpreter with these imports."""
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(prefix), "PYTHONDONTWRITEBYTECODE": "" if writes else "1"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=LIMIT_S, capture_output=True)
    return time.perf_counter() - began


def _is_installed(module: str | None) -> bool:
    return module is None or importlib.util.find_spec(module) is not None
