"""Which versions of a model are served, and which of them an address means (pure).

A version policy is one of `{"latest": N}`, `{"specific": [...]}`, `{"all": true}`; the default is the latest one. An
address names a version, a label, or neither: then the label PROD decides where there is one, else the highest version.
Labels are unique within a model and move at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT_LABEL = "PROD"


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """`specific` wins over `latest`; `latest` 0 means all."""

    latest: int = 1
    specific: tuple[str, ...] = ()

    def choose(self, versions: Iterable[str]) -> list[str]:
        """Return the versions to serve out of those there are, lowest first."""
        ordered = sorted(versions, key=order)
        if self.specific:
            return [version for version in ordered if version in self.specific]
        return ordered[-self.latest :] if self.latest else ordered


def order(version: str) -> tuple[int, tuple[int, ...], str]:
    """Return what versions are sorted by: 2 before 10, 1.2.0 before 1.10.0, words last of all and by their letters."""
    try:
        return 0, tuple(int(part) for part in version.split(".")), version
    except ValueError:
        return -1, (), version


def read_policy(document: Any) -> VersionPolicy:
    """Return the policy of a configuration; raises ValueError that names what is wrong."""
    if not document:
        return VersionPolicy()
    if not isinstance(document, Mapping) or len(document) != 1:
        raise ValueError("version_policy is one of latest, specific, all")
    kind, value = next(iter(document.items()))
    if kind == "all":
        return VersionPolicy(latest=0)
    if kind == "latest":
        count = value.get("num_versions", 1) if isinstance(value, Mapping) else value
        if type(count) is not int or count < 1:
            raise ValueError(f"version_policy.latest: {count!r} is not a positive number")
        return VersionPolicy(latest=count)
    if kind == "specific":
        listed = value.get("versions", []) if isinstance(value, Mapping) else value
        listed = listed if isinstance(listed, list) else [listed]
        return VersionPolicy(specific=tuple(map(str, listed)))
    raise ValueError(f"version_policy: {kind!r} is not latest, specific or all")


@dataclass(slots=True)
class Labels:
    """The labels of one model, and every move they made: `(label, from, to)`, oldest first, the last hundred."""

    of: dict[str, str] = field(default_factory=dict)
    moves: list[tuple[str, str, str]] = field(default_factory=list)

    def move(self, label: str, version: str) -> None:
        """Let `label` mean `version`; an empty version removes it."""
        before = self.of.get(label, "")
        if version:
            self.of = {**self.of, label: version}
        else:
            self.of = {name: meant for name, meant in self.of.items() if name != label}
        self.moves = [*self.moves[-99:], (label, before, version)]

    def resolve(self, versions: Collection[str], version: str = "", label: str = "") -> str | None:
        """Return the version that an address means, or None when there is no such one."""
        if label:
            version = self.of.get(label, "")
            return version if version in versions else None
        if version:
            return version if version in versions else None
        preferred = self.of.get(DEFAULT_LABEL)
        if preferred in versions:
            return preferred
        return max(versions, key=order) if versions else None
