"""The torch module of the intents: words to numbers, their embeddings averaged, one linear layer.

Words are numbered by a checksum, so that there is no vocabulary to ship; two words may share a number, which the
averaging forgives. This file also travels in the .mar archive: it imports nothing but torch, numpy and the library.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

INTENTS = ("alarm", "greeting", "lights", "music", "weather")
BUCKETS = 4096
WIDTH = 32
_WORD = re.compile(r"[a-z0-9']+")


class Intent(nn.Module):
    """Takes word numbers and where each text begins; returns one score per intent and text."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(BUCKETS, WIDTH, mode="mean")
        self.scores = nn.Linear(WIDTH, len(INTENTS))

    def forward(self, words: Any, starts: Any) -> Any:
        """Return scores of shape [texts, intents]."""
        return self.scores(self.words(words, starts))

    def preprocess(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return `words` and `starts` for the texts (bytes) under `text`, one or more to a row."""
        return numbered([text.decode(errors="replace") for text in inputs["text"].ravel()])

    def postprocess(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the likeliest intent of each text and its probability."""
        scores = torch.from_numpy(outputs["output"]).softmax(dim=1)
        best, which = scores.max(dim=1)
        intents = np.array([INTENTS[index].encode() for index in which.tolist()], dtype=object)
        return {"intent": intents, "probability": best.numpy()}


def numbered(texts: Sequence[str]) -> dict[str, Any]:
    """Return the numbers of all words end to end (int64), and the position at which each text begins."""
    words = [[zlib.crc32(word.encode()) % BUCKETS for word in _WORD.findall(text.lower())] for text in texts]
    starts = np.cumsum([0, *map(len, words)])[:-1]
    return {"words": np.array([number for text in words for number in text], np.int64), "starts": starts}
