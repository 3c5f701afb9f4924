"""`python -m examples.triton_digits FOLDER`: write a model repository for Triton, weights trained here.

FOLDER/digits holds config.pbtxt and 1/ with model.py and the weights; give it to an InferenceService as storageUri. It
takes some seconds; `--weights FILE` takes what `python -m examples.digits.train` wrote instead.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from examples.digits import model

REPOSITORY = Path(__file__).parent / "repository"
WEIGHTS = "weights.pt"


def main() -> None:
    """Copy the model's files, then train and write its weights."""
    parser = argparse.ArgumentParser(prog="python -m examples.triton_digits")
    parser.add_argument("folder", type=Path, help="where the repository is written")
    parser.add_argument("--weights", type=Path, help="weights of the digits network, trained before")
    chosen = parser.parse_args()
    shutil.copytree(REPOSITORY, chosen.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    target = chosen.folder / "digits" / "1" / WEIGHTS
    if chosen.weights:
        shutil.copyfile(chosen.weights, target)
        print(f"wrote {chosen.folder}")
    else:
        trained, accuracy = model.train(model.TORCH_SUFFIX)
        trained.save(target)
        print(f"wrote {chosen.folder}; {accuracy:.1%} right on held-out images")


if __name__ == "__main__":
    main()
