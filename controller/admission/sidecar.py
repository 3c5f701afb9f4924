"""The annotations `queue.sidecar.serving.knative.dev/*`: what queue-proxy asks for beside one revision's app."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.contracts import names, problems, quantities
from tidegate.contracts.problems import FieldProblem

_LOWEST, _HIGHEST = 0.1, 100.0


def validate(annotations: Mapping[str, str]) -> list[FieldProblem]:
    """Return what is wrong with them; paths are the keys."""
    found: list[FieldProblem] = []
    for key, text in annotations.items():
        if not key.startswith(names.SIDECAR):
            continue
        if key == names.SIDECAR_PERCENTAGE_ANNOTATION:
            found += _percentage(key, text)
        elif not _is_quantity(text):
            found.append(problems.invalid(text, key))
    return found


def _percentage(key: str, text: str) -> list[FieldProblem]:
    try:
        value = float(text)
    except ValueError:
        return [problems.invalid(text, key)]
    return [] if _LOWEST <= value <= _HIGHEST else [problems.out_of_bounds(f"{value:g}", 0.1, 100, key)]


def _is_quantity(text: str) -> bool:
    try:
        return quantities.parse(text) >= 0
    except ValueError:
        return False
