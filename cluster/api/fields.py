"""Server-side apply and field ownership: who set what (`metadata.managedFields`), and what an apply may change.

Pure; inputs are never changed. Ownership in three rules: applying owns what is stated; updating owns what it changed
and takes it from everybody else; an apply that would change what others own is a conflict unless forced. What a
manager stops applying goes away unless somebody else owns it too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from cluster.api import field_paths
from cluster.api import schema as schemas
from cluster.api.builtin_defaults import default_builtin
from cluster.api.field_paths import Path
from cluster.api.json_values import copied, same
from cluster.api.leaves import SERVER_METADATA, leaves, merged, without
from cluster.api.shapes import Shape, shape_of
from tidegate.kube.api import Object

# Update managers beyond this many are merged, oldest first, so that managedFields cannot grow without end.
MAX_UPDATERS = 10
ANCIENT = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"


@dataclass(frozen=True, slots=True)
class Entry:
    """One manager's share of an object: who (manager, operation, apiVersion, subresource), when, and which paths."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str
    paths: frozenset[Path]

    @property
    def who(self) -> tuple[str, str, str, str]:
        """What tells two managers apart."""
        return self.manager, self.operation, self.api_version, self.subresource

    def described(self) -> str:
        """Return the manager as conflict messages name it."""
        shown = f'"{self.manager}"'
        if self.subresource:
            shown += f' with subresource "{self.subresource}"'
        if self.operation != "Update":
            return shown
        return f"{shown} using {self.api_version}" + (f" at {self.time}" if self.time else "")


class ApplyConflicts(Exception):
    """An apply would change what others own; `conflicts` lists (manager, field path), `causes` the Status causes."""

    def __init__(self, found: list[tuple[Entry, Path]]) -> None:
        self.conflicts = [(entry.manager, field_paths.text(path)) for entry, path in found]
        self.causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f"conflict with {entry.described()}",
                "field": field_paths.text(path),
            }
            for entry, path in found
        ]
        self.message = _conflict_text(found)
        super().__init__(self.message)


def _conflict_text(found: list[tuple[Entry, Path]]) -> str:
    if len(found) == 1:
        entry, path = found[0]
        return f"Apply failed with 1 conflict: conflict with {entry.described()}: {field_paths.text(path)}"
    lines: list[str] = []
    for who in sorted({entry.described() for entry, _ in found}):
        paths = [path for entry, path in found if entry.described() == who]
        lines += [f"conflicts with {who}:", *(f"- {field_paths.text(path)}" for path in paths)]
    return f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)


# Entries


def entries_of(obj: Object | None) -> list[Entry]:
    """Return the managers of an object; what cannot be read is left out."""
    listed = ((obj or {}).get("metadata") or {}).get("managedFields") or []
    return [_entry(one) for one in listed if isinstance(one, dict) and one.get("manager")]


def _entry(one: Object) -> Entry:
    paths = frozenset(field_paths.decoded(one.get("fieldsV1") or {}))
    api_version, subresource = one.get("apiVersion", ""), one.get("subresource", "")
    return Entry(one["manager"], one.get("operation", "Update"), api_version, subresource, one.get("time", ""), paths)


@lru_cache(maxsize=256)
def _fields_v1(paths: frozenset[Path]) -> Object:
    """Return the FieldsV1 object of a set of paths. Objects made alike own alike; nobody changes what is returned."""
    return field_paths.encoded(paths)


def _listed(entry: Entry) -> Object:
    listed = {
        "manager": entry.manager,
        "operation": entry.operation,
        "apiVersion": entry.api_version,
        "time": entry.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": _fields_v1(entry.paths),
    }
    return listed | ({"subresource": entry.subresource} if entry.subresource else {})


def _with_entries(obj: Object, entries: Iterable[Entry]) -> Object:
    kept = _bounded([entry for entry in entries if entry.paths])
    kept.sort(key=lambda entry: (entry.operation, entry.time, entry.who))
    metadata = {name: value for name, value in (obj.get("metadata") or {}).items() if name != "managedFields"}
    if kept:
        metadata["managedFields"] = [_listed(entry) for entry in kept]
    return obj | {"metadata": metadata}


def _bounded(entries: list[Entry]) -> list[Entry]:
    updaters = [entry for entry in entries if entry.operation == "Update" and not entry.subresource]
    surplus = len(updaters) - MAX_UPDATERS
    if surplus <= 0:
        return entries
    oldest = sorted(updaters, key=lambda entry: (entry.manager != ANCIENT, entry.time))[: surplus + 1]
    paths = frozenset[Path]().union(*(entry.paths for entry in oldest))
    return [entry for entry in entries if entry not in oldest] + [replace(oldest[-1], manager=ANCIENT, paths=paths)]


# Apply


def apply(
    live: Object | None,
    applied: Object,
    manager: str,
    force: bool,
    api_version: str,
    now: str,
    schema: Object | None = None,
    subresource: str = "",
) -> Object:
    """Return `live` (None: a new object) with `applied` merged in on behalf of `manager`; raises ApplyConflicts.

    `now` is RFC 3339; `schema` is a custom kind's openAPIV3Schema, None for built-in kinds. Metadata that the server
    writes (uid, resourceVersion, managedFields...) is taken from `live`: preconditions in `applied` are the caller's.
    """
    shape = shape_of(applied, schema)
    applied = _without_server_metadata(applied, is_new=live is None)
    stated = leaves(applied, shape)
    own = Entry(
        manager, "Apply", api_version, subresource, now, frozenset(p for p, v in stated.items() if v is not None)
    )
    if live is None:
        created: Object = merged({}, applied, shape)
        return _with_entries(created, [own])
    entries = entries_of(live) or [_before_first_apply(live, shape, api_version)]
    others = [entry for entry in entries if entry.who != own.who]
    previous = next((entry for entry in entries if entry.who == own.who), None)

    current = leaves(live, shape)
    changing = _changes(current, stated, leaves(_defaulted(applied, schema), shape))
    conflicts = [(entry, path) for entry in others for path in sorted(entry.paths & changing)]
    if conflicts and not force:
        raise ApplyConflicts(conflicts)
    others = [replace(entry, paths=entry.paths - changing) for entry in others]

    result = without(merged(live, applied, shape), _abandoned(previous, own, others), shape)
    if previous and previous.paths == own.paths and not changing and stated.keys() <= current.keys():
        own = previous
    return _with_entries(result, [*others, own])


def _changes(current: dict[Path, Any], stated: dict[Path, Any], defaulted: dict[Path, Any]) -> set[Path]:
    """Return the paths whose value would be another one afterwards.

    Values that are owned whole (`fieldRef`, lists without keys) stand in the store with their defaults filled in.
    """
    return {
        path
        for path, value in stated.items()
        if path in current
        and not same(current[path], value)
        and (path not in defaulted or not same(current[path], defaulted[path]))
    }


def _defaulted(applied: Object, schema: Object | None) -> Object:
    whole: Object = copied(applied)
    if schema is not None:
        return schemas.default(whole, schema)
    group = str(whole.get("apiVersion", "")).rpartition("/")[0]
    default_builtin(str(whole.get("kind", "")), group, whole)
    return whole


def _abandoned(previous: Entry | None, own: Entry, others: list[Entry]) -> set[Path]:
    """Return what the manager applied before, does not state any more, and nobody else owns or owns a part of."""
    if previous is None:
        return set()
    kept = field_paths.closed(own.paths).union(*(field_paths.closed(entry.paths) for entry in others))
    return field_paths.closed(previous.paths) - kept


def _without_server_metadata(applied: Object, is_new: bool) -> Object:
    gone = {"managedFields"} if is_new else SERVER_METADATA
    metadata = {name: value for name, value in (applied.get("metadata") or {}).items() if name not in gone}
    return applied | {"metadata": metadata}


def _before_first_apply(live: Object, shape: Shape, api_version: str) -> Entry:
    """Return the stand-in for everybody who wrote an object before ownership was tracked."""
    return Entry(BEFORE_FIRST_APPLY, "Update", api_version, "", "", frozenset(leaves(live, shape)))


# Update


def track_update(
    old: Object | None,
    new: Object,
    manager: str,
    api_version: str,
    now: str,
    subresource: str = "",
    schema: Object | None = None,
) -> Object:
    """Return `new` with managedFields that say what this create, update or patch changed; the rest is shared with it.

    A client may edit managedFields with its update: they count as sent; `[{}]` resets them, none means as before.
    """
    shape = shape_of(new, schema)
    after = leaves(new, shape)
    before = leaves(old, shape) if old is not None else {}
    changed = {path for path, value in after.items() if path not in before or not same(before[path], value)}
    gone = before.keys() - after.keys()
    sent = (new.get("metadata") or {}).get("managedFields")
    entries = entries_of(new if sent and old is not None else old)
    blank = Entry(manager, "Update", api_version, subresource, now, frozenset())
    own = next((entry for entry in entries if entry.who == blank.who), blank)
    moved = changed | gone
    others = [replace(entry, paths=entry.paths - moved) for entry in entries if entry.who != own.who]
    if changed or gone & own.paths:
        own = replace(own, paths=(own.paths | changed) - gone, time=now)
    return _with_entries(new, [*others, own])


def managers(obj: Object) -> dict[str, list[str]]:
    """Return the paths that each manager of an object owns, as people read them; for tests and diagnosis."""
    return {entry.manager: sorted(map(field_paths.text, entry.paths)) for entry in entries_of(obj)}
