"""The encoder of all-MiniLM-L6-v2 as a torch module: BERT with six layers, the mean of its tokens, length one.

Modules are named as the published weights are, so that these are laid in as they lie in the file. Sizes are those of
the model's config.json. Texts longer than 256 tokens are cut, as its authors do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from examples.sentences import wordpiece

LAYERS, HEADS, WIDTH, INNER = 6, 12, 384, 1536
WORDS, POSITIONS, TYPES = 30522, 512, 2
TOKENS_LIMIT = 256
EPSILON = 1e-12
VOCABULARY = "vocab.txt"


class Encoder(nn.Module):
    """Takes token numbers and a mask of shape [texts, tokens]; returns embeddings of shape [texts, 384], length one."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._file = folder / VOCABULARY
        self._vocabulary: dict[str, int] = {}
        self.embeddings = Embeddings()
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, tokens: Any, mask: Any) -> Any:
        """Return the mean of what the last layer says of each token."""
        hidden = self.embeddings(tokens)
        may_be_seen = mask[:, None, None, :].bool()
        for layer in self.encoder.layer:
            hidden = layer(hidden, may_be_seen)
        weights = mask[:, :, None].to(hidden.dtype)
        return nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1))

    def preprocess(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return tokens and mask of the texts (bytes) under `text`, filled up to the longest."""
        vocabulary = self._words()
        texts = [text.decode(errors="replace") for text in inputs["text"].ravel()]
        rows = [wordpiece.numbers(text, vocabulary, TOKENS_LIMIT) for text in texts]
        shape = (len(rows), max(map(len, rows)))
        tokens, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for at, row in enumerate(rows):
            tokens[at, : len(row)] = row
            mask[at, : len(row)] = 1
        return {"tokens": tokens, "mask": mask}

    def _words(self) -> dict[str, int]:
        if not self._vocabulary:
            lines = self._file.read_text().split("\n")
            self._vocabulary = {word: number for number, word in enumerate(lines) if word}
        return self._vocabulary


class Embeddings(nn.Module):
    """What the first layer sees of a token: itself and its place."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(WORDS, WIDTH)
        self.position_embeddings = nn.Embedding(POSITIONS, WIDTH)
        self.token_type_embeddings = nn.Embedding(TYPES, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=EPSILON)

    def forward(self, tokens: Any) -> Any:
        """Return vectors of shape [texts, tokens, width]."""
        places = self.position_embeddings.weight[: tokens.shape[1]]
        return self.LayerNorm(self.word_embeddings(tokens) + places + self.token_type_embeddings.weight[0])


class Layer(nn.Module):
    """One layer of BERT: attention, then a network per token, each added to what went in and normed."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(WIDTH, INNER)
        self.output = Normed(INNER)

    def forward(self, hidden: Any, may_be_seen: Any) -> Any:
        """Return the layer's output, in the shape of `hidden`."""
        hidden = self.attention(hidden, may_be_seen)
        return self.output(nn.functional.gelu(self.intermediate.dense(hidden)), hidden)


class Attention(nn.Module):
    """What each token takes from the others."""

    def __init__(self) -> None:
        super().__init__()
        self.self = nn.Module()
        for name in ("query", "key", "value"):
            setattr(self.self, name, nn.Linear(WIDTH, WIDTH))
        self.output = Normed(WIDTH)

    def forward(self, hidden: Any, may_be_seen: Any) -> Any:
        """Return the attended vectors, in the shape of `hidden`."""
        split = (*hidden.shape[:2], HEADS, WIDTH // HEADS)
        parts = [layer(hidden).view(split).transpose(1, 2) for layer in self.self.children()]
        seen = nn.functional.scaled_dot_product_attention(*parts, attn_mask=may_be_seen)
        return self.output(seen.transpose(1, 2).reshape(hidden.shape), hidden)


class Normed(nn.Module):
    """A linear layer whose output is added to what went round it, then normed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=EPSILON)

    def forward(self, inner: Any, around: Any) -> Any:
        """Return vectors of the model's width."""
        return self.LayerNorm(self.dense(inner) + around)
