"""How far a gateway's tables have come: what the controller asks a gateway's admin port, and what it is answered.

Pure. A table is known by the newest resourceVersion that went into it. A watch delivers the versions of one kind in
their order, so one number per kind answers for all objects of that kind at once. Numbers of one kind are compared with
numbers of the same kind only; a version that is no number (no server that we know of has such) reads as 0, which every
gateway has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

PATH = "/programmed"
LONGEST_WAIT_S = 1.0
"""How long a gateway may keep the answer back until it has what was asked for."""


class Versions(msgspec.Struct, frozen=True):
    """The newest resourceVersions of Routes, DomainMappings, and the Secrets with certificates; 0 is before any."""

    routes: int = 0
    mappings: int = 0
    certificates: int = 0

    def covers(self, wanted: Versions) -> bool:
        """Whether all that is wanted is in here."""
        return (
            self.routes >= wanted.routes
            and self.mappings >= wanted.mappings
            and self.certificates >= wanted.certificates
        )


NOTHING = Versions()
ALL = 2**62
"""More than any resourceVersion: what who needs none of a kind has of it."""


def version_of(obj: Mapping[str, Any] | None) -> int:
    """Return an object's resourceVersion as a number, 0 for no object."""
    return number(((obj or {}).get("metadata") or {}).get("resourceVersion", ""))


def number(resource_version: str) -> int:
    """Return a resourceVersion as a number, 0 when it is none."""
    return int(resource_version) if resource_version.isascii() and resource_version.isdigit() else 0


def newest(versions: Iterable[Versions]) -> Versions:
    """Return what covers all of them."""
    return _each(lambda numbers: max(numbers, default=0), versions)


def common(versions: Iterable[Versions]) -> Versions:
    """Return what each of them covers; of none, nothing."""
    return _each(lambda numbers: min(numbers, default=0), versions)


def _each(choose: Callable[[list[int]], int], versions: Iterable[Versions]) -> Versions:
    found = list(versions)
    return Versions(
        choose([one.routes for one in found]),
        choose([one.mappings for one in found]),
        choose([one.certificates for one in found]),
    )


def question(wanted: Versions, wait_s: float) -> str:
    """Return the path and query that ask for `wanted`, to be answered at the latest after `wait_s`."""
    return f"{PATH}?{urlencode({**msgspec.structs.asdict(wanted), 'wait_s': wait_s})}"


def read_question(query: Mapping[str, str]) -> tuple[Versions, float]:
    """Return what is wanted and for how many seconds the answer may wait. Raises ValueError for what is no question."""
    wait_s = float(query.get("wait_s", "0"))
    if not math.isfinite(wait_s):
        raise ValueError(f"wait_s is {wait_s}: it must be a number of seconds")
    wanted = Versions(**{kind: int(query.get(kind, "0")) for kind in Versions.__struct_fields__})
    return wanted, min(max(0.0, wait_s), LONGEST_WAIT_S)


def read_answer(body: bytes) -> Versions | None:
    """Return what a gateway says it has, None when it says something else."""
    try:
        return msgspec.json.decode(body, type=Versions)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
