"""Reads the commands and the answers of a documentation page, and compares an answer with the one that is printed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

COMMANDS, ANSWERS = ("sh", "python"), ("json", "text")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)")


@dataclass(frozen=True)
class Step:
    """A block of commands, and the block of their answer when one follows."""

    language: str
    code: str
    answer: str | None


def sections(page: Path) -> dict[str, list[Step]]:
    """Return the steps below each heading of the second level that has some."""
    found = {}
    for part in page.read_text().split("\n## ")[1:]:
        blocks = _BLOCK.findall(part)
        follows = [*(text if kind in ANSWERS else None for kind, text in blocks[1:]), None]
        steps = [
            Step(kind, code, answer) for (kind, code), answer in zip(blocks, follows, strict=False) if kind in COMMANDS
        ]
        if steps:
            found[part.partition("\n")[0]] = steps
    return found


def is_same(answer: str, printed: str, tolerance: float) -> bool:
    """Whether two texts are the same but for white space, and for numbers with a fraction that differ by this much."""
    one, other = (_NUMBER.split(" ".join(text.split())) for text in (answer, printed))
    if len(one) != len(other):
        return False
    return all(
        a == b or (at % 2 and _is_near(a, b, tolerance)) for at, (a, b) in enumerate(zip(one, other, strict=True))
    )


def _is_near(one: str, other: str, tolerance: float) -> bool:
    has_fraction = any("." in text or "e" in text for text in (one, other))
    return has_fraction and abs(float(one) - float(other)) <= tolerance
