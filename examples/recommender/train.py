"""Make up ratings, learn from them, write a model folder: `python -m examples.recommender.train --out build/models`.

The ratings are invented: every user and product has a taste of two hidden numbers, and likes what is like it, with
some noise. What is learnt is found from a fifth of all pairs alone, and tried on pairs that were held out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from examples.recommender.model import FACTORS

SEED = 11
USERS, PRODUCTS, TASTES, WIDTH = 200, 100, 2, 2
EPOCHS, RATE, DECAY = 400, 8.0, 0.02


def ratings() -> tuple[Any, Any]:
    """Return who likes what (booleans, [users, products]), and which of the pairs are known to the training."""
    made = np.random.default_rng(SEED)
    likes = 2 * made.normal(size=(USERS, TASTES)) @ made.normal(size=(TASTES, PRODUCTS))
    return made.random(likes.shape) < 1 / (1 + np.exp(-likes)), made.random(likes.shape) < 0.2


def train() -> tuple[Any, Any, float]:
    """Return the factors of users and products, and the share of held-out pairs on the right side of one half."""
    liked, is_known = ratings()
    made = np.random.default_rng(SEED)
    users, products = (made.normal(scale=0.3, size=(count, WIDTH)) for count in (USERS, PRODUCTS))
    for _ in range(EPOCHS):
        error = np.where(is_known, liked - 1 / (1 + np.exp(-users @ products.T)), 0.0)
        up = error @ products / PRODUCTS - DECAY * users / WIDTH
        products += RATE * (error.T @ users / USERS - DECAY * products / WIDTH) / 4
        users += RATE * up / 4
    right = ((users @ products.T > 0) == liked)[~is_known].mean()
    return users.astype(np.float32), products.astype(np.float32), float(right)


def write(out: Path, users: Any, products: Any) -> Path:
    """Write the model folder; returns it."""
    folder = out / "recommender"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / FACTORS, users=users, products=products)
    settings = {"implementation": "examples.recommender.model.Recommender"}
    (folder / "model-settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    return folder


def main() -> int:
    """Train, write, say how well it does on pairs that it has not seen."""
    parser = argparse.ArgumentParser(description="Train the recommender.")
    parser.add_argument("--out", type=Path, default=Path("build/models"))
    out = parser.parse_args().out
    users, products, right = train()
    print(write(out, users, products))
    print(f"{right:.0%} of the held-out ratings right", file=sys.stderr)
    return 0 if right > 0.7 else 1


if __name__ == "__main__":
    sys.exit(main())
