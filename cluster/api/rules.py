"""What the API server does to every object on its way in: addressing, what a write may touch, defaults, validity.

The steps are called in order by `writes`. Kind-specific knowledge sits behind them: `builtins` for built-in kinds,
`schema` for custom ones, strategies for the few kinds that need the store.
"""

from __future__ import annotations

import msgspec

from cluster.api import builtin_schemas, builtins, cel_rules, decoding, metadata, schema, status
from cluster.api.backend import Backend
from cluster.api.field_errors import FieldError
from cluster.api.kinds import Kind
from cluster.api.users import Call
from tidegate.kube.api import Object

# A status write of these may also change labels and annotations, as their owner (the node) relies on.
NODE_OWNED = {"Pod", "Node"}


def copied(obj: Object) -> Object:
    """Return a deep copy."""
    own: Object = msgspec.json.decode(msgspec.json.encode(obj))  # ten times faster than copy.deepcopy
    return own


def check_addressing(obj: Object, kind: Kind, namespace: str) -> None:
    """Raise `ApiError` unless the body is an object of `kind` for `namespace`."""
    if not isinstance(obj, dict):
        raise status.bad_request("the body must be a JSON object")
    for field, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        given = obj.get(field)
        if given and given != wanted:
            shown = f"{obj.get('apiVersion')}, Kind={obj.get('kind')}"
            raise status.bad_request(
                f"the API version in the data ({shown}) does not match the expected API version "
                f"({kind.api_version}, Kind={kind.kind})"
            )
    if not isinstance(obj.setdefault("metadata", {}), dict):
        raise status.bad_request("metadata must be an object")
    given = obj["metadata"].get("namespace")
    if kind.namespaced and given and given != namespace:
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def check_same_name(kind: Kind, live: Object, new: Object) -> None:
    """Raise `ApiError` when an update tries to rename or move the object."""
    for field in ("name", "namespace"):
        given, own = new["metadata"].get(field), live["metadata"].get(field)
        if given and given != own:
            raise status.bad_request(
                f"the {field} of the object ({given}) does not match the {field} on the URL ({own})"
            )


def settle(kind: Kind, live: Object, new: Object, subresource: str) -> Object:
    """Return `new` with everything restored that this write may not touch."""
    if subresource == "status":
        merged = live | {"metadata": dict(new["metadata"])}
        merged.pop("status", None)
        if "status" in new:
            merged["status"] = new["status"]
        kept = ("labels", "annotations") if kind.kind in NODE_OWNED and not kind.group else ()
        metadata.restore_all_but(live, merged, ("managedFields", *kept))
        return copied(merged)
    if subresource == "finalize":
        merged = live | {"spec": new.get("spec") or {}, "metadata": dict(live["metadata"])}
        return copied(merged)
    metadata.carry_over(live, new)
    if kind.kind == "Namespace" and not kind.group:
        new["spec"] = live.get("spec") or {}  # its finalizers change through `finalize` only
    if kind.has_status():
        new.pop("status", None)
        if "status" in live:
            new["status"] = live["status"]
    return new


def after_admission(before: Object, mutated: Object) -> Object:
    """Return the object that mutating webhooks made of `before`, with its identity restored."""
    for field in ("apiVersion", "kind"):
        mutated[field] = before[field]
    for field in ("name", "namespace", "uid", "creationTimestamp", "generation"):
        if field in before["metadata"]:
            mutated["metadata"][field] = before["metadata"][field]
    return mutated


def normalise(backend: Backend, kind: Kind, obj: Object, old: Object | None, call: Call) -> None:
    """Fill in defaults and what the server owns, in place; raises `ApiError`. Run again after mutating admission."""
    if old is None and kind.has_status() and kind.kind != "Node":
        obj.pop("status", None)
    if kind.is_custom:
        defaulted = schema.default(obj, kind.schema) if kind.schema else obj
        if defaulted is not obj:
            obj.clear()
            obj.update(defaulted)
    else:
        builtins.default_builtin(kind.kind, kind.group, obj)
    strategy = backend.strategies.get((kind.group, kind.kind))
    if strategy is not None:
        strategy.prepare(obj, old, call.dry_run)


def validate(kind: Kind, obj: Object, old: Object | None, call: Call) -> None:
    """Raise `ApiError` Invalid with every rule the object breaks; warn the caller of rules that are not enforced."""
    causes = metadata.check(obj, kind)
    if kind.is_custom:
        found = _validate_custom(kind, obj, old)
    elif old is not None and metadata.desired_state(obj, kind) == metadata.desired_state(old, kind):
        found = builtin_schemas.check_fields(kind.kind, kind.group, decoding.changed_parts(obj, old)).errors
    else:
        found = builtins.validate_builtin(kind.kind, kind.group, obj, old)
    causes += [(one.path, one.message, one.reason) for one in found]
    if kind.kind == "CustomResourceDefinition":
        call.warnings.extend(cel_rules.not_enforced(obj))
    if causes:
        raise status.invalid(kind.named, obj["metadata"].get("name", ""), causes)


def _validate_custom(kind: Kind, obj: Object, old: Object | None) -> list[FieldError]:
    if not kind.schema:
        return []
    # Rules presume a valid value, as expressions have types.
    found = schema.validate(obj, kind.schema)
    return found or (cel_rules.validate(obj, old, kind.schema) if kind.has_rules else [])
