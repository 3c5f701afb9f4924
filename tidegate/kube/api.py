"""What every component may ask of a Kubernetes API server, and the errors it answers with.

`Api` is the seam: `tidegate.kube.client.Client` speaks it over HTTPS to any API server; the local API server offers the
same protocol in-process to its built-in controllers. Objects are plain JSON dictionaries, as Kubernetes has them;
parsing into typed values happens where a component's pure code begins.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

Object = dict[str, Any]
_NOT_IN_NAMES = frozenset("/%?#\\")


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object as the API server addresses it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or the bare version for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of a collection, an object or a subresource.

        Raises ApiError (404) for a name that no object can have: names come from specs that users write, and one like
        `../../other/secrets/key` would lead to another namespace.
        """
        for part in (namespace, name):
            if part in (".", "..") or any(sign in _NOT_IN_NAMES or sign <= " " for sign in part):
                raise ApiError(404, "NotFound", f"{self.plural} {part!r} not found: no object can have this name")
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "".join(f"/{part}" for part in (self.plural, name, subresource) if part)
        return root + scope + tail


class PatchKind(enum.StrEnum):
    """The four patch types of the Kubernetes API; values are their media types."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class WatchEvent(NamedTuple):
    """One line of a watch: type is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


class Page(NamedTuple):
    """A list answer: its items, the resourceVersion at which they were read, and what leads to those that follow."""

    items: list[Object]
    resource_version: str
    more: str = ""


class ApiError(Exception):
    """An API server's refusal: HTTP status, Kubernetes reason (`NotFound`, `Conflict`...) and message."""

    def __init__(self, status: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details or {}

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}"

    @property
    def is_not_found(self) -> bool:
        """Whether the object (or its collection) does not exist."""
        return self.status == 404

    @property
    def is_conflict(self) -> bool:
        """Whether a resourceVersion or field-manager conflict refused the write."""
        return self.status == 409 and self.reason == "Conflict"

    @property
    def is_already_exists(self) -> bool:
        """Whether a create met an object of the same name."""
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def is_gone(self) -> bool:
        """Whether a watch asked for history the server no longer has."""
        return self.status == 410


class Unreachable(ApiError):
    """The API server did not answer in time or refused the connection; nothing is known about the write."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Unreachable", message)


class Api(Protocol):
    """The verbs. Every one raises `ApiError`; `Unreachable` when the server did not answer in time."""

    async def get(self, resource: Resource, name: str, namespace: str = "", subresource: str = "") -> Object:
        """Return one object."""
        ...

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        *,
        limit: int = 0,
        after: str = "",
    ) -> Page:
        """Return the objects that match the selectors, across namespaces when `namespace` is empty.

        `limit`: a page of so many where the server can, 0 for all at once; `after`: the `more` of the page before. A
        page that comes too late is refused as gone (410).
        """
        ...

    def watch(
        self, resource: Resource, namespace: str = "", labels: str = "", fields: str = "", since: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Yield changes after resourceVersion `since` until the server closes the stream."""
        ...

    async def create(
        self, resource: Resource, obj: Object, namespace: str = "", subresource: str = "", *, dry_run: bool = False
    ) -> Object:
        """Create `obj` (namespace from its metadata unless given) and return it as stored; `dry_run` stores nothing."""
        ...

    async def replace(self, resource: Resource, obj: Object, subresource: str = "") -> Object:
        """PUT `obj`; its metadata names it and, when it has a resourceVersion, guards against lost updates."""
        ...

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        manager: str = "tidegate",
        force: bool = False,
    ) -> Object:
        """Patch one object; `APPLY` is server-side apply under field manager `manager`."""
        ...

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        grace_s: int | None = None,
        propagation: str = "Background",
    ) -> Object:
        """Delete one object; `uid` is a precondition, `grace_s` overrides its termination grace period in seconds."""
        ...


def name_of(obj: Object) -> str:
    """Return `metadata.name`."""
    return str(obj["metadata"]["name"])


def namespace_of(obj: Object) -> str:
    """Return `metadata.namespace`, empty for cluster-scoped objects."""
    return str(obj["metadata"].get("namespace", ""))


def labels_of(obj: Object) -> dict[str, str]:
    """Return the object's labels (never None)."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """Return the object's annotations (never None)."""
    return obj["metadata"].get("annotations") or {}
