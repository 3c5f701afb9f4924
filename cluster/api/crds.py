"""CustomResourceDefinitions: accepted on write, served at once, and taken down with everything that was of their kind.

A definition's kinds enter the registry inside the very write that stores it, so a client that saw it Established can
use it with its next request.
"""

from __future__ import annotations

import re
from typing import Any

from cluster.api import cel_rules
from cluster.api.backend import Backend
from cluster.api.kinds import Kind, Registry
from cluster.store import Change, Collection, Store
from tidegate.kube.api import Object

DEFINITIONS = Collection("apiextensions.k8s.io", "customresourcedefinitions")
VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


def kinds_of(definition: Object) -> list[Kind]:
    """Return what a definition serves, one kind per served version, preferred first."""
    spec = definition["spec"]
    served = [version for version in spec.get("versions") or [] if version.get("served")]
    stored = next((one["name"] for one in spec.get("versions") or [] if one.get("storage")), "")
    return [_kind(spec, one, stored) for one in sorted(served, key=lambda one: _priority(one["name"]))]


def _kind(spec: Object, version: Object, stored: str) -> Kind:
    names = spec["names"]
    subresources: Object = version.get("subresources") or {}
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    return Kind(
        spec["group"],
        version["name"],
        names["plural"],
        names["kind"],
        spec.get("scope") == "Namespaced",
        names.get("singular") or names["kind"].lower(),
        tuple(names.get("shortNames") or ()),
        tuple(names.get("categories") or ()),
        subresources=frozenset(name for name in ("status", "scale") if name in subresources),
        has_generation=True,
        unconditional_update=False,
        selectable=tuple(one["jsonPath"].lstrip(".") for one in version.get("selectableFields") or ()),
        is_custom=True,
        storage_version=stored,
        schema=schema,
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        scale=subresources.get("scale"),
        warning=_deprecation(spec, version),
        has_rules=cel_rules.has_rules(schema),
    )


def _deprecation(spec: Object, version: Object) -> str:
    if not version.get("deprecated"):
        return ""
    default = f"{spec['group']}/{version['name']} {spec['names']['kind']} is deprecated"
    return str(version.get("deprecationWarning") or default)


def _priority(name: str) -> tuple[Any, ...]:
    """Order versions as Kubernetes does: stable before beta before alpha, newer first, then the odd ones by name."""
    found = VERSION.fullmatch(name)
    if not found:
        return (1, name)
    stage = {None: 0, "beta": 1, "alpha": 2}[found[2]]
    return (0, stage, -int(found[1]), -int(found[3] or 0))


def follow(store: Store, registry: Registry) -> None:
    """Keep the registry equal to the stored definitions, from now on."""

    def changed(change: Change) -> None:
        definition = change.entry.decode()
        kinds = [] if change.type == "DELETED" else kinds_of(definition)
        registry.replace_custom(change.key.name, kinds)
        _reindex(store, kinds)

    for entry in store.entries(DEFINITIONS):
        kinds = kinds_of(entry.decode())
        registry.replace_custom(entry.shadow["metadata"]["name"], kinds)
        _reindex(store, kinds)
    store.observe(DEFINITIONS, changed)


def _reindex(store: Store, kinds: list[Kind]) -> None:
    # Shadows are made when an object is loaded or written; new selectable fields need them made again.
    if any(kind.selectable for kind in kinds):
        store.reindex(kinds[0].collection)


class Definitions:
    """Completes a definition: names, conditions, stored versions. Every well-formed one is established at once."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def prepare(self, obj: Object, old: Object | None, dry_run: bool) -> None:
        """Fill in what the server owns; leaves a malformed definition for validation to refuse."""
        spec = obj.get("spec")
        if not isinstance(spec, dict) or not isinstance(spec.get("names"), dict):
            return
        names = spec["names"]
        if isinstance(names.get("kind"), str):
            names.setdefault("singular", names["kind"].lower())
            names.setdefault("listKind", names["kind"] + "List")
        spec.setdefault("conversion", {"strategy": "None"})
        obj["status"] = self._status(spec, (old or {}).get("status") or {}, obj.get("status") or {})

    def _status(self, spec: Object, before: Object, given: Object) -> Object:
        versions = [one for one in spec.get("versions") or [] if isinstance(one, dict)]
        stored = list(given.get("storedVersions") or before.get("storedVersions") or [])
        stored += [one["name"] for one in versions if one.get("storage") and one.get("name") not in stored]
        conditions = given.get("conditions") or before.get("conditions") or self._conditions()
        return {"acceptedNames": dict(spec["names"]), "conditions": conditions, "storedVersions": stored}

    def _conditions(self) -> list[Object]:
        now = self._backend.now()
        return [
            {
                "type": "NamesAccepted",
                "status": "True",
                "reason": "NoConflicts",
                "message": "no conflicts found",
                "lastTransitionTime": now,
            },
            {
                "type": "Established",
                "status": "True",
                "reason": "InitialNamesAccepted",
                "message": "the initial names have been accepted",
                "lastTransitionTime": now,
            },
        ]
