"""Train the intents and write two model folders: `python -m examples.intent.train --out build/models`.

intent: weights and the name of their class, for the torch runtime. intent-mar: a TorchServe archive with handler, class
and weights inside; running it needs leave, because it is code.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

from examples.intent import network, sentences

SEED = 3
EPOCHS = 120
INPUTS = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
OUTPUTS = [
    {"name": "intent", "datatype": "BYTES", "shape": [-1]},
    {"name": "probability", "datatype": "FP32", "shape": [-1]},
]
MANIFEST = {
    "createdOn": "01/01/2026 00:00:00",
    "runtime": "python",
    "model": {
        "modelName": "intent-mar",
        "modelVersion": "1.0",
        "handler": "handler.py",
        "modelFile": "network.py",
        "serializedFile": "model.pt",
    },
    "archiverVersion": "0.12.0",
}


def train() -> tuple[Any, float]:
    """Return the trained network and the share of held-out sentences that it gets right."""
    torch.manual_seed(SEED)
    pairs = [(text, intent) for intent, texts in sentences.TRAINING.items() for text in texts]
    wanted = torch.tensor([network.INTENTS.index(intent) for _, intent in pairs])
    inputs = tensors([text for text, _ in pairs])
    module = network.Intent()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02, weight_decay=1e-4)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(**inputs), wanted).backward()
        optimizer.step()
    module.eval()
    with torch.inference_mode():
        guesses = module(**tensors([text for _, text in sentences.HELD_OUT])).argmax(dim=1).tolist()
    right = sum(network.INTENTS[at] == want for at, (want, _) in zip(guesses, sentences.HELD_OUT, strict=True))
    return module, right / len(guesses)


def tensors(texts: list[str]) -> dict[str, Any]:
    """Return the network's inputs for these texts."""
    return {name: torch.from_numpy(array) for name, array in network.numbered(texts).items()}


def write(out: Path, module: Any) -> list[Path]:
    """Write the folders `intent` and `intent-mar` below `out`; returns them."""
    plain, archived = out / "intent", out / "intent-mar"
    for folder in (plain, archived):
        folder.mkdir(parents=True, exist_ok=True)
    torch.save(module.state_dict(), plain / "model.pt")
    extra = {"class": "examples.intent.network:Intent", "threads": 1}
    settings = {"inputs": INPUTS, "outputs": OUTPUTS, "parameters": {"extra": extra}}
    (plain / "model-settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    weights = io.BytesIO()
    torch.save(module.state_dict(), weights)
    with zipfile.ZipFile(archived / "intent.mar", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("MAR-INF/MANIFEST.json", json.dumps(MANIFEST, indent=1))
        made.writestr("model.pt", weights.getvalue())
        for name in ("handler.py", "network.py"):
            made.write(Path(__file__).parent / name, name)
    return [plain, archived]


def main() -> int:
    """Train, write, say how well it does on sentences that it has not seen."""
    parser = argparse.ArgumentParser(description="Train the intent classifier.")
    parser.add_argument("--out", type=Path, default=Path("build/models"))
    out = parser.parse_args().out
    module, accuracy = train()
    for folder in write(out, module):
        print(folder)
    print(f"{accuracy:.0%} of {len(sentences.HELD_OUT)} held-out sentences right", file=sys.stderr)
    return 0 if accuracy >= 0.8 else 1


if __name__ == "__main__":
    sys.exit(main())
