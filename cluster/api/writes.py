"""The writing verbs: create, update, and the read-change-write loop that patches share.

Order of a write: rules of metadata → the kind's own preparation → mutating admission → validation → validating
admission → store. Only admission awaits; the store refuses the write when the object changed meanwhile, and a write
that did not name a resourceVersion is then tried again on the new state.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.api import conversions, decoding, lifecycle, metadata, ownership, rules, status
from cluster.api.backend import CREATE, UPDATE, Admitted, Backend
from cluster.api.kinds import Kind
from cluster.api.users import Call
from cluster.store import Entry, Key, Stale
from tidegate.kube.api import Object

ATTEMPTS = 5
GENERATED_NAME_ATTEMPTS = 8

Change = Callable[[Object], Object]


async def create(backend: Backend, kind: Kind, namespace: str, obj: Object, call: Call) -> Entry:
    """Create `obj` (owned by the callee) in `namespace`; raises `ApiError`."""
    rules.check_addressing(obj, kind, namespace)
    if obj["metadata"].get("resourceVersion"):
        raise status.bad_request("resourceVersion should not be set on objects to be created")
    kind, obj = backend.registry.stored(kind), conversions.to_stored(kind, obj)
    for _ in range(GENERATED_NAME_ATTEMPTS if not obj["metadata"].get("name") else 1):
        candidate = rules.copied(obj)
        try:
            return await create_once(backend, kind, namespace, candidate, call)
        except Stale:
            continue
    raise status.already_exists(kind.named, candidate["metadata"].get("name", ""))


async def create_once(
    backend: Backend, kind: Kind, namespace: str, obj: Object, call: Call, applied: bool = False
) -> Entry:
    """Create `obj` under exactly the name it has or gets; raises `Stale` when that name is taken."""
    metadata.begin(obj, kind, namespace, backend.new_uid(), backend.now(), backend.new_suffix())
    key = backend.key(kind, namespace, obj["metadata"].get("name", ""))
    lifecycle.require_namespace(backend, kind, namespace)
    obj["apiVersion"], obj["kind"] = kind.stored_api_version, kind.kind
    obj = decoding.decode(kind, obj, call)
    rules.normalise(backend, kind, obj, None, call)
    mutated = await backend.admission.mutate(Admitted(CREATE, kind, key, "", obj, None, call))
    if mutated is not None and mutated is not obj:
        obj = rules.after_admission(obj, mutated)
        rules.normalise(backend, kind, obj, None, call)
    rules.validate(kind, obj, None, call)
    await backend.admission.validate(Admitted(CREATE, kind, key, "", obj, None, call))
    if not applied:
        obj = ownership.track(None, obj, kind, call, backend.now())
    if backend.store.get(key) is not None:
        raise Stale(key.name)
    lifecycle.require_namespace(backend, kind, namespace)
    if call.dry_run:
        return backend.unstored(kind, obj)
    return backend.store.put(key, obj, expected=0)


async def modify(
    backend: Backend, kind: Kind, key: Key, change: Change, call: Call, subresource: str = "", applied: bool = False
) -> Entry:
    """Store what `change` makes of the live object; raises `ApiError`. `change` may run several times.

    `subresource` limits what is taken over; `applied` says that `change` did the field ownership already.
    """
    for _ in range(ATTEMPTS):
        entry = backend.require(kind, key)
        live = entry.decode()
        new = change(entry.decode())
        _check_preconditions(kind, key, live, new)
        new = await _admitted(backend, kind, key, subresource, live, new, call)
        if not applied:
            new = ownership.track(live, new, kind, call, backend.now(), subresource)
        if metadata.is_same(live, new):
            return entry
        try:
            return _commit(backend, kind, key, entry, new, call)
        except Stale:
            continue
    raise status.conflict(kind.named, key.name)


def replacement(kind: Kind, obj: Object) -> Change:
    """Return the change a PUT of `obj` makes; raises `ApiError` when the kind insists on a resourceVersion."""

    def change(live: Object) -> Object:
        new = rules.copied(obj)
        if not new["metadata"].get("resourceVersion"):
            if not kind.unconditional_update:
                text = "Invalid value: 0: must be specified for an update"
                cause = ("metadata.resourceVersion", text, "FieldValueInvalid")
                raise status.invalid(kind.named, live["metadata"]["name"], [cause])
            new["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        return new

    return change


def _check_preconditions(kind: Kind, key: Key, live: Object, new: Object) -> None:
    if not isinstance(new.get("metadata"), dict):
        raise status.bad_request("metadata must be an object")
    wanted = new["metadata"].get("resourceVersion")
    if wanted and wanted != live["metadata"]["resourceVersion"]:
        raise status.conflict(kind.named, key.name)
    uid = new["metadata"].get("uid")
    if uid and uid != live["metadata"]["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {live['metadata']['uid']}"
        raise status.conflict(kind.named, key.name, why)
    rules.check_same_name(kind, live, new)


async def _admitted(
    backend: Backend, kind: Kind, key: Key, subresource: str, live: Object, new: Object, call: Call
) -> Object:
    new["apiVersion"], new["kind"] = kind.stored_api_version, kind.kind
    new = rules.settle(kind, live, decoding.decode(kind, new, call, live), subresource)
    rules.normalise(backend, kind, new, live, call)
    mutated = await backend.admission.mutate(Admitted(UPDATE, kind, key, subresource, new, live, call))
    if mutated is not None and mutated is not new:
        new = rules.settle(kind, live, rules.after_admission(new, mutated), subresource)
        rules.normalise(backend, kind, new, live, call)
    new["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    metadata.bump_generation(live, new, kind)
    if not metadata.is_same(live, new):
        rules.validate(kind, new, live, call)
    await backend.admission.validate(Admitted(UPDATE, kind, key, subresource, new, live, call))
    return new


def _commit(backend: Backend, kind: Kind, key: Key, entry: Entry, new: Object, call: Call) -> Entry:
    if call.dry_run:
        return backend.unstored(kind, new)
    if lifecycle.is_finished(kind, new):
        return backend.store.delete(key, entry.revision, last=new)
    return backend.store.put(key, new, entry.revision)
