"""(pure) Field ownership: who set what, kept in metadata.managedFields on every write."""

from __future__ import annotations

from cluster.api import fields, status
from cluster.api.kinds import Kind
from cluster.api.users import Call
from tidegate.kube.api import ApiError, Object


def track(old: Object | None, new: Object, kind: Kind, call: Call, now: str, subresource: str = "") -> Object:
    """Return `new` with its managedFields brought up to date for a write by `call.manager`."""
    if old is None:
        return fields.track_update(None, new, call.manager, kind.api_version, now, subresource, kind.schema)
    before, after = _differing(old, new)
    tracked = fields.track_update(before, after, call.manager, kind.api_version, now, subresource, kind.schema)
    return new | {"metadata": tracked["metadata"]}


def _differing(old: Object, new: Object) -> tuple[Object, Object]:
    """Return both objects without the parts in which they agree: ownership of those stays, and they are the most."""
    before, after = _without_equal(old, new, ("apiVersion", "kind", "metadata"))
    spec, wanted = before.get("spec"), after.get("spec")
    if isinstance(spec, dict) and isinstance(wanted, dict):
        left, right = _without_equal(spec, wanted, ())
        # An emptied spec would itself look like a field that came or went.
        if left and right:
            before["spec"], after["spec"] = left, right
    return before, after


def _without_equal(old: Object, new: Object, kept: tuple[str, ...]) -> tuple[Object, Object]:
    equal = {field for field in old if field in new and field not in kept and old[field] == new[field]}
    return (
        {field: value for field, value in old.items() if field not in equal},
        {field: value for field, value in new.items() if field not in equal},
    )


def applied(live: Object | None, body: Object, kind: Kind, call: Call, now: str, subresource: str = "") -> Object:
    """Return `live` with `body` applied by `call.manager`; raises `ApiError` Conflict."""
    stated = _stated(body, kind, subresource)
    try:
        return fields.apply(live, stated, call.manager, call.force, kind.api_version, now, kind.schema, subresource)
    except fields.ApplyConflicts as conflicts:
        raise ApiError(409, "Conflict", str(conflicts), {"causes": conflicts.causes}) from conflicts


def _stated(body: Object, kind: Kind, subresource: str) -> Object:
    # An apply owns only what it can change: the status through its subresource, everything else without it.
    if subresource == "status":
        return {field: body[field] for field in ("apiVersion", "kind", "metadata", "status") if field in body}
    if kind.has_status():
        return {field: value for field, value in body.items() if field != "status"}
    return body


def check_applied(body: Object, kind: Kind, name: str, namespace: str) -> None:
    """Raise `ApiError` BadRequest unless `body` can be applied to that object."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        raise status.bad_request("metadata must be an object")
    if metadata.get("managedFields"):
        raise status.bad_request("metadata.managedFields must be nil")
    if metadata.get("name", name) != name:
        raise status.bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )
    metadata["name"] = name
    if kind.namespaced:
        metadata["namespace"] = namespace
