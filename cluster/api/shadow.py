"""(pure) The part of an object that selectors look at, kept decoded beside its stored bytes.

A shadow is a small object of the same shape: name, namespace, uid, labels, and the fields a field selector may name.
So a selector's `matches` works on it unchanged, and lists and watches never decode what they do not send.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.api.kinds import Registry
from cluster.store import Collection
from tidegate.kube.api import Object


def shadow_maker(registry: Registry) -> Callable[[Collection, Object], Object]:
    """Return the store's shadow function: selectable fields are those of the registry's kinds."""

    def make(collection: Collection, obj: Object) -> Object:
        kind = registry.of_collection(collection)
        return shadow(obj, kind.selectable if kind else ())

    return make


def shadow(obj: Object, selectable: tuple[str, ...]) -> Object:
    """Return the shadow of `obj`; `selectable` are dotted paths beside the metadata."""
    metadata = obj["metadata"]
    kept: Object = {
        "metadata": {
            "name": metadata.get("name", ""),
            "namespace": metadata.get("namespace", ""),
            "uid": metadata.get("uid", ""),
            "labels": metadata.get("labels") or {},
        }
    }
    for path in selectable:
        _copy(obj, kept, path.split("."))
    return kept


def _copy(source: Any, target: Object, steps: list[str]) -> None:
    for step in steps[:-1]:
        source = source.get(step) if isinstance(source, dict) else None
        if source is None:
            return
        target = target.setdefault(step, {})
    if isinstance(source, dict) and steps[-1] in source:
        target[steps[-1]] = source[steps[-1]]
