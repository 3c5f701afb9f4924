"""What all verbs share: the store, the kinds, the clock, and the places where admission and side tables hook in.

One instance lives in the API server process. Time and randomness enter here and nowhere deeper.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from cluster import timestamps
from cluster.api import status
from cluster.api.kinds import Kind, Registry
from cluster.api.shadow import shadow
from cluster.api.strictness import NORMAL, Strictness
from cluster.api.users import Call
from cluster.store import Entry, Key, Store
from tidegate.kube.api import Object

# The alphabet of generated names: no vowels, no look-alikes, so that no words come out.
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"


@dataclass(frozen=True, slots=True)
class Admitted:
    """One write on its way in, as admission sees it; `obj` is None for a deletion, `old` for a creation."""

    operation: str
    kind: Kind
    key: Key
    subresource: str
    obj: Object | None
    old: Object | None
    call: Call


class Admission(Protocol):
    """Whatever may change or refuse a write before it is stored."""

    async def mutate(self, write: Admitted) -> Object | None:
        """Return the object to go on with; raises `ApiError` to refuse."""
        ...

    async def validate(self, write: Admitted) -> None:
        """Raise `ApiError` to refuse."""
        ...


class NoAdmission:
    """Admits everything as it is."""

    async def mutate(self, write: Admitted) -> Object | None:
        """Return the object unchanged."""
        return write.obj

    async def validate(self, write: Admitted) -> None:
        """Accept."""


class Chain:
    """Several admissions one after the other; each sees what the ones before it made of the object."""

    def __init__(self, *steps: Admission) -> None:
        self._steps = steps

    async def mutate(self, write: Admitted) -> Object | None:
        """Return the object after all steps; raises `ApiError` of the first that refuses."""
        for step in self._steps:
            write = replace(write, obj=await step.mutate(write))
        return write.obj

    async def validate(self, write: Admitted) -> None:
        """Raise `ApiError` of the first step that refuses."""
        for step in self._steps:
            await step.validate(write)


class Strategy(Protocol):
    """What one kind needs besides the general rules when it is written."""

    def prepare(self, obj: Object, old: Object | None, dry_run: bool) -> None:
        """Complete `obj` in place before it is validated; raises `ApiError`."""
        ...


class Closable(Protocol):
    """Something under way that ends when it is closed."""

    def close(self) -> None:
        """End it; harmless when repeated."""
        ...


@dataclass(slots=True)
class Backend:
    """The state of an API server that verbs work on."""

    store: Store
    registry: Registry
    admission: Admission = field(default_factory=NoAdmission)
    strategies: dict[tuple[str, str], Strategy] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    strictness: Strictness = NORMAL
    watches: set[Closable] = field(default_factory=set)

    def now(self) -> str:
        """Return the present as objects carry it."""
        return timestamps.text(self.clock())

    def new_uid(self) -> str:
        """Return a fresh uid."""
        return str(uuid.uuid4())

    def new_suffix(self) -> str:
        """Return the random end of a generated name."""
        return "".join(secrets.choice(SUFFIX_ALPHABET) for _ in range(SUFFIX_LENGTH))

    def key(self, kind: Kind, namespace: str, name: str) -> Key:
        """Return where an object of `kind` is stored."""
        return Key(*kind.collection, namespace if kind.namespaced else "", name)

    def require(self, kind: Kind, key: Key) -> Entry:
        """Return the stored object; raises `ApiError` NotFound."""
        entry = self.store.get(key)
        if entry is None:
            raise status.not_found(kind.named, key.name)
        return entry

    def unstored(self, kind: Kind, obj: Object) -> Entry:
        """Return an entry for an object that is not stored: a dry run's answer, or the last state of a deleted one."""
        revision = int(obj["metadata"].get("resourceVersion") or 0)
        return Entry(msgspec.json.encode(obj), revision, shadow(obj, kind.selectable))
