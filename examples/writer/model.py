"""The writer as a class that the Python runtime serves: `generate` yields one token at a time.

A token is a word with the space before it, or a punctuation mark. What follows is drawn by how often it followed the
last two tokens, else the last one, else at all. With the same `seed` it writes the same text on every machine.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

COUNTS = "counts.json"
ORDER = 2
TOKENS_DEFAULT, TOKENS_LIMIT = 24, 1024
_TOKEN = re.compile(r"\s*(\w[\w'\-]*|[^\w\s])")
Counts = dict[str, dict[str, int]]


class Writer:
    """Continues a text. Parameters: `max_tokens` (24), `seed` (0)."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / COUNTS
        self._counts: Counts = {}

    def load(self) -> None:
        """Read the counts."""
        self._counts = json.loads(self._file.read_text())

    def generate(self, text: str, parameters: Mapping[str, Any]) -> Iterator[str]:
        """Yield token after token; ends after a sentence only when the limit is reached."""
        limit = min(int(parameters.get("max_tokens", TOKENS_DEFAULT)), TOKENS_LIMIT)
        draw = random.Random(int(parameters.get("seed", 0)))
        before = tokens(text)
        for _ in range(limit):
            following = _following(self._counts, before)
            token = draw.choices(list(following), list(following.values()))[0]
            before = [*before[1 - ORDER :], token]
            yield token if _is_mark(token) else f" {token}"


def tokens(text: str) -> list[str]:
    """Return the words and marks of a text."""
    return _TOKEN.findall(text)


def counted(text: str) -> Counts:
    """Return how often each token followed each one or two tokens (joined by a space), and any (under "")."""
    found = tokens(text)
    counts: Counts = {}
    for at, token in enumerate(found):
        for length in range(min(ORDER, at) + 1):
            after = counts.setdefault(" ".join(found[at - length : at]), {})
            after[token] = after.get(token, 0) + 1
    return counts


def _following(counts: Counts, before: list[str]) -> dict[str, int]:
    keys = (" ".join(before[len(before) - length :]) for length in range(min(ORDER, len(before)), -1, -1))
    return next(counts[key] for key in keys if key in counts)


def _is_mark(token: str) -> bool:
    return not token[0].isalnum() and token not in "(["
