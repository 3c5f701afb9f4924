"""The four patch types as changes to a live object, with their refusals as API errors."""

from __future__ import annotations

from typing import Any

from cluster.api import conversions, decoding, ownership, patch, rules, status, writes
from cluster.api.backend import Backend
from cluster.api.kinds import Kind
from cluster.api.users import Call
from cluster.store import Entry, Key, Stale
from tidegate.kube.api import Object, PatchKind

CREATE_ATTEMPTS = 3


def change(kind: Kind, name: str, body: Any, patch_kind: PatchKind) -> writes.Change:
    """Return the change that a JSON, merge or strategic merge patch makes; raises `ApiError`."""
    if patch_kind is PatchKind.STRATEGIC and kind.is_custom:
        raise status.unsupported_media_type(patch_kind.value, [PatchKind.JSON, PatchKind.MERGE, PatchKind.APPLY])

    def apply_to(live: Object) -> Object:
        versioned = conversions.from_stored(kind, live)
        try:
            return conversions.to_stored(kind, _patched(versioned, body, patch_kind, kind))
        except patch.PatchError as error:
            cause = ("patch", f"Invalid value: {error}", "FieldValueInvalid")
            if patch_kind is PatchKind.JSON:
                raise status.invalid(kind.named, name, [cause]) from error
            raise status.bad_request(str(error)) from error

    return apply_to


def _patched(obj: Object, body: Any, patch_kind: PatchKind, kind: Kind) -> Object:
    if patch_kind is PatchKind.JSON:
        return patch.json_patch(obj, body)
    if patch_kind is PatchKind.MERGE:
        return patch.merge_patch(obj, body)
    return patch.strategic_merge(obj, body, kind.kind)


async def apply(backend: Backend, kind: Kind, key: Key, body: Any, call: Call, subresource: str) -> tuple[Entry, bool]:
    """Server-side apply `body` as `call.manager`; return the object and whether it was created. Raises `ApiError`."""
    if not isinstance(body, dict):
        raise status.bad_request("the body of an apply must be an object")
    rules.check_addressing(body, kind, key.namespace)
    ownership.check_applied(body, kind, key.name, key.namespace)
    body = decoding.decode(kind, body | {"apiVersion": kind.api_version, "kind": kind.kind}, call)
    for _ in range(CREATE_ATTEMPTS):
        if backend.store.get(key) is None and not subresource:
            _check_may_create(kind, key, body)
            new = ownership.applied(None, body, kind, call, backend.now())
            try:
                return await writes.create_once(backend, kind, key.namespace, new, call, applied=True), True
            except Stale:
                continue

        def merge(live: Object) -> Object:
            new = ownership.applied(live, body, kind, call, backend.now(), subresource)
            wanted = body["metadata"].get("resourceVersion")
            return new | {"metadata": new["metadata"] | {"resourceVersion": wanted}} if wanted else new

        return await writes.modify(backend, kind, key, merge, call, subresource, applied=True), False
    raise status.conflict(kind.named, key.name)


def _check_may_create(kind: Kind, key: Key, body: Object) -> None:
    metadata = body["metadata"]
    if metadata.get("uid") or metadata.get("resourceVersion"):
        why = "the object does not exist, but the apply names a uid or resourceVersion"
        raise status.conflict(kind.named, key.name, why)
