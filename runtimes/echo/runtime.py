"""The echo model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtimes.tensors import Tensor


class Echo:
    """Answers every input under its own name; generates the words of its text one by one."""

    platform = "echo"
    blocking = False

    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the inputs."""
        return inputs

    def predict_tensors(self, inputs: list[Tensor]) -> list[Tensor]:
        """Return the inputs as they are, datatypes and all."""
        return list(inputs)

    def explain(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the inputs as their own explanation."""
        return inputs

    def generate(self, text: str, parameters: dict[str, Any]) -> Iterator[str]:
        """Yield the words of `text`, at most `max_tokens` of them."""
        words = text.split(" ")[: parameters.get("max_tokens")]
        yield from (word if at == 0 else " " + word for at, word in enumerate(words))
