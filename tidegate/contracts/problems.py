"""What is wrong with an object, where, and how it is told: the form of validation errors that users of Knative know.

A problem is `<message>: <path>[, <path>...]`, then details on the next line when there are any. Paths are relative
until the caller puts them under a parent with `under`. The message builders below are the usual wordings; validators
use others only where the API has them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One reason to refuse an object: what (`message`), where (`paths`), and more for people (`details`)."""

    message: str
    paths: tuple[str, ...] = ()
    details: str = ""

    def render(self) -> str:
        """Return the problem as users see it."""
        head = f"{self.message}: {', '.join(self.paths)}" if self.paths else self.message
        return f"{head}\n{self.details}" if self.details else head


def under(parent: str, problems: Iterable[FieldProblem]) -> list[FieldProblem]:
    """Return the problems with every path put under `parent` (`under("spec", ...)`)."""
    return [
        replace(problem, paths=tuple(_join(parent, path) for path in problem.paths or ("",))) for problem in problems
    ]


def at_index(field: str, index: int, problems: Iterable[FieldProblem]) -> list[FieldProblem]:
    """Return the problems of element `index` of the list `field`."""
    return under(f"{field}[{index}]", problems)


def at_key(field: str, key: str, problems: Iterable[FieldProblem]) -> list[FieldProblem]:
    """Return the problems of entry `key` of the map `field`, as Knative writes it: `annotations.<key>` by dot."""
    return under(f"{field}.{key}", problems)


def render(problems: Iterable[FieldProblem]) -> str:
    """Return all problems as one text: those with equal message and details share a line; sorted by message."""
    merged: dict[tuple[str, str], set[str]] = {}
    for problem in problems:
        merged.setdefault((problem.message, problem.details), set()).update(problem.paths)
    return "\n".join(
        FieldProblem(message, tuple(sorted(paths)), details).render()
        for (message, details), paths in sorted(merged.items())
    )


def missing(*paths: str) -> FieldProblem:
    """Required fields are absent."""
    return FieldProblem("missing field(s)", paths)


def disallowed(*paths: str) -> FieldProblem:
    """Fields are present that may not be."""
    return FieldProblem("must not set the field(s)", paths)


def invalid(value: object, path: str, details: str = "") -> FieldProblem:
    """A value is not acceptable."""
    return FieldProblem(f"invalid value: {value}", (path,), details)


def expected_one_got_neither(*paths: str) -> FieldProblem:
    """None of several alternatives is set."""
    return FieldProblem("expected exactly one, got neither", paths)


def expected_one_got_both(*paths: str) -> FieldProblem:
    """More than one of several alternatives is set."""
    return FieldProblem("expected exactly one, got both", paths)


def invalid_key(key: str, path: str, details: str = "") -> FieldProblem:
    """A key of a map is not acceptable."""
    return FieldProblem(f'invalid key name "{key}"', (path,), details)


def out_of_bounds(value: object, low: object, high: object, path: str) -> FieldProblem:
    """A number lies outside its closed interval."""
    return FieldProblem(f"expected {low} <= {value} <= {high}", (path,))


def _join(parent: str, path: str) -> str:
    if not path:
        return parent
    return parent + path if path.startswith("[") else f"{parent}.{path}"
