"""(pure) What the API server does to `metadata`: names, immutable fields, generation, and the rules for them.

Clock and randomness are handed in. Functions change the object they are given; callers own a fresh copy.
"""

from __future__ import annotations

from typing import Any

from cluster.api import names
from cluster.api.kinds import Kind
from tidegate.kube.api import Object

Cause = tuple[str, str, str]

ANNOTATIONS_LIMIT_BYTES = 256 << 10
GENERATED_BASE_LIMIT = 58

SERVER_FIELDS = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "generation",
)
FIXED_FIELDS = ("name", "namespace", "generateName", *SERVER_FIELDS)


def begin(obj: Object, kind: Kind, namespace: str, uid: str, now: str, suffix: str) -> None:
    """Give a new object its name, namespace, uid, creation time and first generation.

    `suffix` completes metadata.generateName when there is no name; `now` is RFC 3339.
    """
    metadata = obj["metadata"]
    for field in (*SERVER_FIELDS, "resourceVersion"):
        metadata.pop(field, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"][:GENERATED_BASE_LIMIT] + suffix
    if kind.namespaced:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    metadata["uid"] = uid
    metadata["creationTimestamp"] = now
    if kind.has_generation or kind.is_custom:
        metadata["generation"] = 1


def carry_over(old: Object, new: Object) -> None:
    """Restore on an update what a client may not change: identity, times, generation."""
    before, after = old["metadata"], new["metadata"]
    for field in FIXED_FIELDS:
        if field in before:
            after[field] = before[field]
        else:
            after.pop(field, None)


def restore_all_but(old: Object, new: Object, kept: tuple[str, ...]) -> None:
    """Take every metadata field from `old`, except those in `kept`, which stay as the new object has them."""
    chosen = {field: new["metadata"][field] for field in kept if field in new["metadata"]}
    rest = {field: value for field, value in old["metadata"].items() if field not in kept}
    new["metadata"] = rest | chosen


def bump_generation(old: Object, new: Object, kind: Kind) -> None:
    """Count a new generation when the desired state changed, that is anything but metadata and a separate status."""
    if not (kind.has_generation or kind.is_custom):
        return
    generation = int(old["metadata"].get("generation", 1))
    changed = desired_state(old, kind) != desired_state(new, kind)
    new["metadata"]["generation"] = generation + 1 if changed else generation


def desired_state(obj: Object, kind: Kind) -> Object:
    """Return what a generation counts changes of."""
    left_out = {"metadata", "apiVersion", "kind"} | ({"status"} if kind.has_status() else set())
    return {field: value for field, value in obj.items() if field not in left_out}


def is_same(old: Object, new: Object) -> bool:
    """Whether writing `new` over `old` would change nothing but version stamps."""
    return _comparable(old) == _comparable(new)


def _comparable(obj: Object) -> Object:
    metadata = {field: value for field, value in obj["metadata"].items() if field != "resourceVersion"}
    managed = metadata.get("managedFields")
    if managed:
        metadata["managedFields"] = [{k: v for k, v in entry.items() if k != "time"} for entry in managed]
    return obj | {"metadata": {field: value for field, value in metadata.items() if value not in (None, {}, [])}}


# Rules


def check(obj: Object, kind: Kind) -> list[Cause]:
    """Return what is wrong with an object's metadata."""
    metadata = obj["metadata"]
    name = metadata.get("name")
    if not name:
        return [("metadata.name", "Required value: name or generateName is required", "FieldValueRequired")]
    found = _check_name(str(name), kind)
    found += _check_labels(metadata.get("labels"))
    found += _check_annotations(metadata.get("annotations"))
    found += _check_finalizers(metadata.get("finalizers"))
    found += _check_owners(metadata.get("ownerReferences"))
    return found


def _check_name(name: str, kind: Kind) -> list[Cause]:
    rule = names.dns_subdomain
    if kind.group == "rbac.authorization.k8s.io":
        rule = names.path_segment
    elif kind.kind == "Namespace" and not kind.group:
        rule = names.dns_label
    elif kind.kind == "Service" and not kind.group:
        rule = names.dns_1035
    return _verdict("metadata.name", name, rule(name))


def _verdict(path: str, value: Any, problem: str) -> list[Cause]:
    return [(path, f'Invalid value: "{value}": {problem}', "FieldValueInvalid")] if problem else []


def _check_labels(labels: Any) -> list[Cause]:
    found: list[Cause] = []
    for key, value in (labels or {}).items():
        found += _verdict("metadata.labels", key, names.qualified(key))
        problem = names.label_value(value) if isinstance(value, str) else "must be a string"
        found += _verdict("metadata.labels", value, problem)
    return found


def _check_annotations(annotations: Any) -> list[Cause]:
    found: list[Cause] = []
    total = 0
    for key, value in (annotations or {}).items():
        found += _verdict("metadata.annotations", key, names.qualified(key.lower()))
        total += len(key) + len(str(value))
    if total > ANNOTATIONS_LIMIT_BYTES:
        text = f"Too long: may not be more than {ANNOTATIONS_LIMIT_BYTES} bytes"
        found.append(("metadata.annotations", text, "FieldValueTooLong"))
    return found


def _check_finalizers(finalizers: Any) -> list[Cause]:
    found: list[Cause] = []
    for finalizer in finalizers or []:
        found += _verdict("metadata.finalizers", finalizer, names.qualified(finalizer))
    return found


def _check_owners(owners: Any) -> list[Cause]:
    found: list[Cause] = []
    for owner in owners or []:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                text = f"Invalid value: {owner}: {field} must not be empty"
                found.append(("metadata.ownerReferences", text, "FieldValueInvalid"))
    if sum(1 for owner in owners or [] if owner.get("controller")) > 1:
        text = "Invalid value: Only one reference can have Controller set to true"
        found.append(("metadata.ownerReferences", text, "FieldValueInvalid"))
    return found
