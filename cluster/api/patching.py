"""The four patch types as changes to a live object, with their refusals as API errors."""

from __future__ import annotations

from typing import Any

from cluster.api import patch, status, writes
from cluster.api.backend import Backend
from cluster.api.kinds import Kind
from cluster.api.users import Call
from cluster.store import Entry, Key
from tidegate.kube.api import Object, PatchKind


def change(kind: Kind, name: str, body: Any, patch_kind: PatchKind) -> writes.Change:
    """Return the change that a JSON, merge or strategic merge patch makes; raises `ApiError`."""
    if patch_kind is PatchKind.STRATEGIC and kind.is_custom:
        raise status.unsupported_media_type(patch_kind.value, [PatchKind.JSON, PatchKind.MERGE, PatchKind.APPLY])

    def apply_to(live: Object) -> Object:
        versioned = live | {"apiVersion": kind.api_version}
        try:
            if patch_kind is PatchKind.JSON:
                return patch.json_patch(versioned, body)
            if patch_kind is PatchKind.MERGE:
                return patch.merge_patch(versioned, body)
            return patch.strategic_merge(versioned, body, kind.kind)
        except patch.PatchError as error:
            cause = ("patch", f"Invalid value: {error}", "FieldValueInvalid")
            if patch_kind is PatchKind.JSON:
                raise status.invalid(kind.named, name, [cause]) from error
            raise status.bad_request(str(error)) from error

    return apply_to


async def apply(backend: Backend, kind: Kind, key: Key, body: Any, call: Call, subresource: str) -> tuple[Entry, bool]:
    """Server-side apply `body` as `call.manager`; return the object and whether it was created. Raises `ApiError`."""
    raise status.bad_request("server-side apply is not available yet")
