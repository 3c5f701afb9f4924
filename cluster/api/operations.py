"""One request's operation on resources, apart from HTTP: which kind, which verb, and the call into the verbs.

Both faces of the server use it: the HTTP handlers and the in-process `LocalApi`. It chooses, the verbs do.
"""

from __future__ import annotations

from typing import Any

from cluster.api import conversions, patching, rules, scale, status, writes
from cluster.api.backend import Backend
from cluster.api.kinds import Kind
from cluster.api.users import Call
from cluster.store import Entry
from tidegate.kube.api import Object, PatchKind

WRITABLE_SUBRESOURCES = ("", "status", "scale", "finalize")


def kind_of(backend: Backend, group: str, version: str, plural: str, subresource: str = "") -> Kind:
    """Return the kind served there; raises `ApiError` NotFound, also for a subresource it does not have."""
    kind = backend.registry.find(group, version, plural)
    if kind is None or (subresource and subresource not in kind.subresources):
        raise status.no_such_path()
    return kind


async def replace(
    backend: Backend, kind: Kind, namespace: str, name: str, subresource: str, obj: Object, call: Call
) -> Entry:
    """PUT an object or a writable subresource; raises `ApiError`."""
    key = backend.key(kind, namespace, name)
    if subresource == "scale":
        change = scale.replacement(kind, obj)
    else:
        rules.check_addressing(obj, kind, namespace)
        if obj["metadata"].get("name", name) != name:
            given = obj["metadata"]["name"]
            raise status.bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
        change = writes.replacement(kind, conversions.to_stored(kind, obj))
    return await writes.modify(backend, backend.registry.stored(kind), key, change, call, subresource)


async def patch(
    backend: Backend,
    kind: Kind,
    namespace: str,
    name: str,
    subresource: str,
    body: Any,
    patch_kind: PatchKind,
    call: Call,
) -> tuple[Entry, bool]:
    """PATCH an object or a writable subresource; return it and whether it was created. Raises `ApiError`."""
    key = backend.key(kind, namespace, name)
    if patch_kind is PatchKind.APPLY and subresource != "scale":
        if kind.is_converted and isinstance(body, dict):
            rules.check_addressing(body, kind, namespace)
            kind, body = backend.registry.stored(kind), conversions.to_stored(kind, body)
        return await patching.apply(backend, kind, key, body, call, subresource)
    # Of a scale nothing but spec.replicas can be written: applying it is merging it.
    patch_kind = PatchKind.MERGE if patch_kind is PatchKind.APPLY else patch_kind
    change = patching.change(kind, name, body, patch_kind)
    if subresource == "scale":
        change = scale.patched(kind, change)
    return await writes.modify(backend, backend.registry.stored(kind), key, change, call, subresource), False
