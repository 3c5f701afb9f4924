"""The digit network as model servers run it: pixels as they are in, a probability for each of the ten digits out.

model.py trains the network inside; export.py writes its weights. It must not read files, so that servers may build it
without storage and lay the mapped weights in.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from examples.digits.model import BRIGHTEST, TorchModel


class Scores(nn.Module):
    """Takes pixels of shape [images, 64], 0 to 16; returns probabilities of shape [images, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.network = TorchModel.build()

    def forward(self, pixels: Any) -> Any:
        """Return the probability of each digit."""
        return self.network(pixels / BRIGHTEST).softmax(dim=1)
