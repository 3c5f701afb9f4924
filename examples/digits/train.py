"""Train the digits model and write it: `python -m examples.digits.train [--out FILE]`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from examples.digits import model


def main() -> int:
    """Train, print the accuracy on held-out digits, save."""
    parser = argparse.ArgumentParser(description="Train the digits model.")
    parser.add_argument(
        "--out",
        type=Path,
        help="model file: .pt for torch, .pickle for scikit-learn (default: $MODEL_FILE or the cache)",
    )
    path = parser.parse_args().out or model.default_path()
    if not model.has_torch():
        print("torch is not installed: training a scikit-learn model instead (pip install torch for the network)")
    started = time.perf_counter()
    trained, accuracy = model.train(path.suffix)
    trained.save(path)
    print(
        f"trained a {trained.kind} model in {time.perf_counter() - started:.1f} s, "
        f"accuracy on held-out digits {accuracy:.1%}, written to {path}"
    )
    return 0 if accuracy > 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
