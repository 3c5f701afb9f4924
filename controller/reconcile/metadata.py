"""What children carry of their parents, and whether a child needs an apply at all.

A child is stamped with a digest of what was last asked for. It needs an apply when the digest differs (something was
added, changed or taken away) or when the object no longer contains what was asked for (somebody else changed it).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from controller.reconcile.outcome import Object
from tidegate.contracts import names, serving

DIGEST_ANNOTATION = "tidegate.dev/applied"
LAST_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
ROLLOUT_ANNOTATIONS = (names.ROLLOUT_DURATION_ANNOTATION, names.SERVING + "rolloutDuration")

_NORMALISED_BY_SERVER = frozenset({"limits", "requests", "sizeLimit"})


def own_labels(obj: Object) -> dict[str, str]:
    """Return a copy of an object's labels."""
    return dict(obj["metadata"].get("labels") or {})


def own_annotations(obj: Object, without: Iterable[str] = (LAST_APPLIED_ANNOTATION,)) -> dict[str, str]:
    """Return a copy of an object's annotations, without some keys and without our own digest."""
    dropped = {*without, DIGEST_ANNOTATION}
    return {key: value for key, value in (obj["metadata"].get("annotations") or {}).items() if key not in dropped}


def child(
    owner: Object, api_version: str, kind: str, name: str, *, labels: dict[str, str], annotations: dict[str, str]
) -> Object:
    """Return the head of an object in the owner's namespace, controlled by it."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(owner)],
        },
    }


def owner_reference(owner: Object) -> Object:
    """Return the reference that makes `owner` the controller of a child."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        # A namespace takes all that is in it along anyway; to block that would need a right over all namespaces.
        "blockOwnerDeletion": owner["kind"] != "Namespace",
    }


def stamped(obj: Object) -> Object:
    """Return `obj` with the digest of its content among its annotations."""
    digest = hashlib.sha256(msgspec.json.encode(obj, order="deterministic")).hexdigest()[:16]
    metadata = obj["metadata"]
    return obj | {
        "metadata": metadata | {"annotations": (metadata.get("annotations") or {}) | {DIGEST_ANNOTATION: digest}}
    }


def needs_apply(observed: Object | None, desired: Object) -> bool:
    """Whether the stamped `desired` must be applied over `observed`."""
    return observed is None or not contains(observed, desired)


def contains(observed: Any, desired: Any, key: str = "") -> bool:
    """Whether every value in `desired` is in `observed`; what the server added or left out as empty is ignored."""
    if key in _NORMALISED_BY_SERVER:
        return True  # the server writes quantities its own way ("0.5" becomes "500m"); the digest guards them
    if isinstance(desired, Mapping):
        if not isinstance(observed, Mapping):
            return not desired and observed is None
        return all(contains(observed.get(inner), value, inner) for inner, value in desired.items())
    if isinstance(desired, list):
        have = observed if isinstance(observed, list) else []
        return len(have) == len(desired) and all(map(contains, have, desired))
    if observed is None:
        return not desired
    return bool(observed == desired)


def is_foreign(observed: Object | None, owner: Object) -> bool:
    """Whether an object of the child's name exists that somebody else controls."""
    return observed is not None and not serving.is_controlled_by(observed, owner)


def not_owned(kind: str, name: str) -> str:
    """Return the message for a foreign child."""
    return f'There is an existing {kind} "{name}" that we do not own.'
