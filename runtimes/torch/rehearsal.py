"""The rehearsal of a torch server: a tiny network with weights, started, asked and ended (see runtimes.rehearsal)."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from runtimes.rehearsal import rehearse
from runtimes.torch import weights

WIDTH = 4
CODE = f"""
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear({WIDTH}, {WIDTH}), nn.ReLU(), nn.Linear({WIDTH}, {WIDTH}))

    def forward(self, x):
        return self.layers(x)
"""
SETTINGS = {"name": "model", "parameters": {"extra": {"class": ":Net"}}}
QUESTION = {"inputs": [{"name": "x", "shape": [1, WIDTH], "datatype": "FP32", "data": [1.0] * WIDTH}]}


def before_forks() -> None:
    """Serve once; torch's number of threads stays what it was."""
    if weights.safetensors_torch is None:
        return
    threads = torch.get_num_threads()
    try:
        rehearse(_make, json.dumps(QUESTION).encode())
    finally:
        torch.set_num_threads(threads)


def _make(folder: Path) -> None:
    (folder / "model.py").write_text(CODE)
    (folder / "model-settings.json").write_text(json.dumps(SETTINGS))
    layers = {
        f"layers.{number}.{name}": (WIDTH, WIDTH) if name == "weight" else (WIDTH,)
        for number in (0, 2)
        for name in ("weight", "bias")
    }
    tensors = {name: torch.ones(shape) for name, shape in layers.items()}
    weights.safetensors_torch.save_file(tensors, folder / "model.safetensors")
