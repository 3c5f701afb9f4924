"""config-gc: which revisions without traffic are deleted, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.contracts import problems
from tidegate.contracts.config.reading import Reader
from tidegate.contracts.problems import FieldProblem


@dataclass(frozen=True)
class Retention:
    """Parsed config-gc. Times are seconds; None means `disabled`."""

    since_create_s: float | None = 48 * 3600.0
    since_last_active_s: float | None = 15 * 3600.0
    min_non_active: int = 20
    max_non_active: int | None = 1000


def parse(config_map: Mapping[str, Any] | None) -> tuple[Retention, list[FieldProblem]]:
    """Return the values and what is wrong with them."""
    reader = Reader(config_map)
    least = reader.integer("min-non-active-revisions", 20)
    most = (
        None if _is_disabled(reader, "max-non-active-revisions") else reader.integer("max-non-active-revisions", 1000)
    )
    if most is not None and least > most:
        reader.complain(problems.out_of_bounds(least, 0, most, "min-non-active-revisions"))
        least = most
    values = Retention(
        since_create_s=_period(reader, "retain-since-create-time", 48 * 3600.0),
        since_last_active_s=_period(reader, "retain-since-last-active-time", 15 * 3600.0),
        min_non_active=least,
        max_non_active=most,
    )
    return values, reader.problems


def _period(reader: Reader, key: str, default_s: float) -> float | None:
    return None if _is_disabled(reader, key) else reader.duration_s(key, default_s)


def _is_disabled(reader: Reader, key: str) -> bool:
    return reader.text(key).lower() == "disabled"
