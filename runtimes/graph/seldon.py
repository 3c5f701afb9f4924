"""What a Router is answered and a Combiner is asked, in Seldon Core's messages (pure).

Source: https://docs.seldon.ai/seldon-core-1/configuration/routing (route: -1 all children, -2 none).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

ALL, NONE = -1, -2


class NoBranchError(ValueError):
    """A router's answer that is no number of a step."""


def branch_of(document: Any, steps: int) -> int:
    """Return the step that a router names: a number, `{"data": {"ndarray": [[1]]}}`, `{"data": {"tensor": ...}}` or
    `{"predictions": [1]}`; raises NoBranchError for what is none, or no step."""
    found = document
    if isinstance(document, dict):
        data = document.get("data")
        found = document.get("predictions", document.get("branch"))
        if isinstance(data, dict):
            tensor = data.get("tensor")
            found = tensor.get("values") if isinstance(tensor, dict) else data.get("ndarray")
    while isinstance(found, list) and found:
        found = found[0]
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if not is_number or not math.isfinite(found) or found != int(found):
        raise NoBranchError("its router did not answer a number")
    if not NONE <= found < steps:
        raise NoBranchError(f"its router answered {int(found)}, and there are steps 0 to {steps - 1}")
    return int(found)


def to_combine(answers: Sequence[bytes]) -> bytes:
    """Return the question of a combiner: the steps' answers in their order; raises ValueError for what is no JSON."""
    try:
        return json.dumps({"seldonMessages": [json.loads(answer) for answer in answers]}).encode()
    except RecursionError as error:
        raise ValueError("an answer is too deep") from error
