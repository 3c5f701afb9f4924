"""(pure) What the API server serves: one `Kind` per group, version and plural, and the registry that finds them.

Built-in kinds are listed in `builtin_kinds`; CustomResourceDefinitions add and remove theirs while running (`crds`).
Versions of one kind share storage, which is keyed by group and plural. Nothing here reads the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cluster.api.status import Named
from cluster.store import Collection
from tidegate.kube.api import Object

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind in one version, as served. Field groups: its names, its behaviour, what a CRD adds."""

    # Names
    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    # Behaviour
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: frozenset[str] = frozenset()
    has_generation: bool = False
    unconditional_update: bool = True
    selectable: tuple[str, ...] = ()

    # What a CustomResourceDefinition adds
    is_custom: bool = False
    storage_version: str = ""
    storage_group: str | None = None
    schema: Any = None
    columns: tuple[Object, ...] | None = None
    scale: Object | None = None
    warning: str = ""
    has_rules: bool = False

    @property
    def api_version(self) -> str:
        """`group/version`, or the bare version for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored_api_version(self) -> str:
        """The apiVersion that objects of this kind carry in the store."""
        version, group = self.storage_version or self.version, self.collection.group
        return f"{group}/{version}" if group else version

    @property
    def collection(self) -> Collection:
        """Where its objects are stored."""
        return Collection(self.group if self.storage_group is None else self.storage_group, self.plural)

    @property
    def is_converted(self) -> bool:
        """Whether objects of this built-in kind are stored in another form (`conversions`)."""
        return not self.is_custom and self.stored_api_version != self.api_version

    @property
    def named(self) -> Named:
        """The words for it in messages."""
        return Named(self.group, self.plural, self.kind)

    @property
    def list_kind(self) -> str:
        """The kind name of a list of these."""
        return f"{self.kind}List"

    def has_status(self) -> bool:
        """Whether its status is written apart from its spec."""
        return "status" in self.subresources


@dataclass(slots=True)
class Registry:
    """Every kind served now. Built-ins never change; `replace_custom` swaps what one CRD contributes."""

    builtins: Iterable[Kind]
    _kinds: dict[tuple[str, str, str], Kind] = field(default_factory=dict)
    _custom: dict[str, list[Kind]] = field(default_factory=dict)
    _by_collection: dict[Collection, Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in self.builtins:
            self._add(kind)

    def _add(self, kind: Kind) -> None:
        self._kinds[kind.group, kind.version, kind.plural] = kind
        self._by_collection.setdefault(kind.collection, kind)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """Return the kind served under that path, or None."""
        return self._kinds.get((group, version, plural))

    def of_kind(self, group: str, kind_name: str) -> Kind | None:
        """Return the preferred version of a kind by its kind name."""
        found = (kind for kind in self if kind.group == group and kind.kind == kind_name)
        return next(found, None)

    def of_collection(self, collection: Collection) -> Kind | None:
        """Return the preferred version of the kind stored in `collection`."""
        return self._by_collection.get(collection)

    def stored(self, kind: Kind) -> Kind:
        """Return the built-in kind in whose form objects of `kind` are stored; itself for nearly all."""
        return self._by_collection.get(kind.collection, kind) if kind.is_converted else kind

    def __iter__(self) -> Iterator[Kind]:
        return iter(list(self._kinds.values()))

    def groups(self) -> list[str]:
        """Return the API groups in the order they appeared, core first."""
        return list(dict.fromkeys(kind.group for kind in self))

    def versions(self, group: str) -> list[str]:
        """Return the versions of a group, preferred first."""
        return list(dict.fromkeys(kind.version for kind in self if kind.group == group))

    def in_version(self, group: str, version: str) -> list[Kind]:
        """Return the kinds of one group and version."""
        return [kind for kind in self if (kind.group, kind.version) == (group, version)]

    def replace_custom(self, crd_name: str, kinds: list[Kind]) -> None:
        """Serve exactly `kinds` for that CRD from now on (an empty list removes it)."""
        for old in self._custom.pop(crd_name, []):
            self._kinds.pop((old.group, old.version, old.plural), None)
            self._by_collection.pop(old.collection, None)
        for kind in kinds:
            self._add(kind)
        if kinds:
            self._custom[crd_name] = kinds
