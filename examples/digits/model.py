"""Train, save, load and ask a digit classifier: a torch network, or scikit-learn's where torch is not installed.

Both read 64 pixels (8 x 8, 0 to 16, row by row) and answer a digit. The suffix of the model file says which kind it is.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import tempfile
from pathlib import Path
from typing import Any, Protocol

PIXELS = 64
BRIGHTEST = 16.0
SEED = 7
EPOCHS = 60
BATCH = 64
TORCH_SUFFIX = ".pt"
SKLEARN_SUFFIX = ".pickle"

Images = list[list[float]]


class Model(Protocol):
    """A trained classifier."""

    kind: str

    def predict(self, images: Images) -> list[int]:
        """Return one digit per image of 64 pixels."""
        ...

    def save(self, path: Path) -> None:
        """Write the model so that `load` can read it."""
        ...


def has_torch() -> bool:
    """Whether torch is installed, without the seconds that importing it takes."""
    return importlib.util.find_spec("torch") is not None


def default_path() -> Path:
    """Return $MODEL_FILE, or a file for this user in the cache folder, named after the kind of model."""
    if explicit := os.environ.get("MODEL_FILE"):
        return Path(explicit)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate"
    return folder / ("digits" + (TORCH_SUFFIX if has_torch() else SKLEARN_SUFFIX))


def load_split() -> tuple[Any, Any, Any, Any]:
    """Return training images, held-out images, training digits, held-out digits; every fourth image is held out."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    return tuple(train_test_split(data.data, data.target, test_size=0.25, random_state=SEED, stratify=data.target))


def train(suffix: str = "") -> tuple[Model, float]:
    """Train the kind of model that `suffix` names (torch where installed when empty); return it with its accuracy."""
    train_images, held_images, train_digits, held_digits = load_split()
    wants_torch = suffix == TORCH_SUFFIX or (not suffix and has_torch())
    kind = TorchModel if wants_torch else SklearnModel
    model: Model = kind.train(train_images, train_digits)
    predicted = model.predict(held_images.tolist())
    right = sum(int(guess == digit) for guess, digit in zip(predicted, held_digits, strict=True))
    return model, right / len(held_digits)


def import_library(path: Path) -> None:
    """Import what reading this file needs."""
    importlib.import_module("torch" if path.suffix == TORCH_SUFFIX else "sklearn.neural_network")


def load(path: Path) -> Model:
    """Read a model file; OSError when there is none."""
    return TorchModel.load(path) if path.suffix == TORCH_SUFFIX else SklearnModel.load(path)


class TorchModel:
    """A convolutional network of two layers, small enough to train in seconds on one core."""

    kind = "torch"

    def __init__(self, network: Any) -> None:
        self._network = network

    @staticmethod
    def build() -> Any:
        """Return the network with fresh weights."""
        from torch import nn

        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(32 * 16, 10),
        )

    @classmethod
    def train(cls, images: Any, digits: Any, epochs: int = EPOCHS) -> TorchModel:
        """Train on arrays of images and digits."""
        import torch

        torch.manual_seed(SEED)
        torch.set_num_threads(1)  # the batches are too small to share among threads, more so on a busy machine
        inputs = torch.tensor(images, dtype=torch.float32) / BRIGHTEST
        wanted = torch.tensor(digits, dtype=torch.long)
        network = cls.build()
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
        network.train()
        for _ in range(epochs):
            for batch in torch.randperm(len(inputs)).split(BATCH):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(network(inputs[batch]), wanted[batch]).backward()
                optimizer.step()
        network.eval()
        return cls(network)

    def predict(self, images: Images) -> list[int]:
        """Return one digit per image."""
        import torch

        with torch.inference_mode():
            scores = self._network(torch.tensor(images, dtype=torch.float32) / BRIGHTEST)
            answer: list[int] = scores.argmax(dim=1).tolist()
            return answer

    def save(self, path: Path) -> None:
        """Write the weights."""
        import torch

        _write(path, lambda target: torch.save(self._network.state_dict(), target))

    @classmethod
    def load(cls, path: Path) -> TorchModel:
        """Read the weights."""
        import torch

        torch.set_num_threads(1)  # one image is too little work to share among threads
        network = cls.build()
        network.load_state_dict(torch.load(path, weights_only=True))
        network.eval()
        return cls(network)


class SklearnModel:
    """scikit-learn's multi-layer perceptron."""

    kind = "scikit-learn"

    def __init__(self, classifier: Any) -> None:
        self._classifier = classifier

    @classmethod
    def train(cls, images: Any, digits: Any) -> SklearnModel:
        """Train on arrays of images and digits."""
        from sklearn.neural_network import MLPClassifier
        from threadpoolctl import threadpool_limits

        classifier = MLPClassifier(hidden_layer_sizes=(100,), max_iter=400, random_state=SEED)
        # The batches are too small to share among threads: those wait for each other, on a busy machine for minutes.
        with threadpool_limits(1):
            classifier.fit(images / BRIGHTEST, digits)
        return cls(classifier)

    def predict(self, images: Images) -> list[int]:
        """Return one digit per image."""
        scaled = [[pixel / BRIGHTEST for pixel in image] for image in images]
        return [int(digit) for digit in self._classifier.predict(scaled)]

    def save(self, path: Path) -> None:
        """Write the classifier."""
        _write(path, lambda target: target.write_bytes(pickle.dumps(self._classifier)))

    @classmethod
    def load(cls, path: Path) -> SklearnModel:
        """Read a classifier that `save` wrote. A pickle runs code: load your own files only."""
        return cls(pickle.loads(path.read_bytes()))


def _write(path: Path, write: Any) -> None:
    # Written beside and renamed: a server that starts meanwhile sees the whole file or none.
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        target = Path(folder) / path.name
        write(target)
        target.replace(path)
