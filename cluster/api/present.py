"""(pure) Stored objects as answers: one object, a list, a watch line, in the version and form the client asked for.

The common case passes stored bytes on untouched; only a different version or form costs a decode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from cluster.api import conversions, tables
from cluster.api.kinds import Kind
from cluster.api.negotiate import Wanted
from cluster.api.paging import Page
from cluster.store import Entry
from tidegate.kube.api import Object

encode = msgspec.json.Encoder().encode
Renderer = Callable[[Entry], bytes]


def body(kind: Kind, entry: Entry) -> bytes:
    """Return the JSON of one object in the version of `kind`."""
    if kind.stored_api_version == kind.api_version:
        return entry.raw
    return encode(decoded(kind, entry))


def decoded(kind: Kind, entry: Entry) -> Object:
    """Return a fresh copy of one object in the version of `kind`."""
    return conversions.from_stored(kind, entry.decode())


def list_body(kind: Kind, entries: list[Entry], metadata: Object) -> bytes:
    """Return the JSON of a list; `metadata` is the list's own."""
    head = b'{"kind":"%s","apiVersion":"%s","metadata":%s,"items":[' % (
        kind.list_kind.encode(),
        kind.api_version.encode(),
        encode(metadata),
    )
    return head + b",".join([body(kind, entry) for entry in entries]) + b"]}"


def event_line(event_type: str, rendered: bytes) -> bytes:
    """Return one line of a watch."""
    return b'{"type":"%s","object":%s}\n' % (event_type.encode(), rendered)


def bookmark(kind: Kind, revision: int, annotations: dict[str, str] | None = None) -> bytes:
    """Return the object of a BOOKMARK event: nothing but the revision up to which all was told."""
    metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    return encode({"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata})


def partial(kind: Kind, entry: Entry) -> Object:
    """Return only the metadata of an object."""
    metadata = entry.decode()["metadata"]
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}


def partial_list(kind: Kind, entries: list[Entry], metadata: Object) -> Object:
    """Return only the metadata of several objects."""
    items = [partial(kind, entry) for entry in entries]
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "items": items,
    }


def object_in_form(kind: Kind, entry: Entry, wanted: Wanted, now_unix_s: float, query: Mapping[str, str]) -> bytes:
    """Return one object in the form the client asked for."""
    if wanted.form == "PartialObjectMetadata":
        return encode(partial(kind, entry))
    if wanted.form == "Table":
        return encode(_table(kind, [entry], _version(entry), now_unix_s, query))
    return body(kind, entry)


def list_in_form(kind: Kind, page: Page, wanted: Wanted, now_unix_s: float, query: Mapping[str, str]) -> bytes:
    """Return a list in the form the client asked for."""
    if wanted.form.startswith("PartialObjectMetadata"):
        return encode(partial_list(kind, page.entries, page.metadata))
    if wanted.form == "Table":
        return encode(_table(kind, page.entries, page.metadata, now_unix_s, query))
    return list_body(kind, page.entries, page.metadata)


def renderer(kind: Kind, wanted: Wanted, clock: Callable[[], float], query: Mapping[str, str]) -> Renderer:
    """Return the function that renders the objects of a watch in the form the client asked for."""
    if wanted.form.startswith("PartialObjectMetadata"):
        return lambda entry: encode(partial(kind, entry))
    if wanted.form == "Table":
        return _table_renderer(kind, clock, query)
    return lambda entry: body(kind, entry)


def _version(entry: Entry) -> Object:
    return {"resourceVersion": str(entry.revision)}


def _table(kind: Kind, entries: list[Entry], metadata: Object, now_unix_s: float, query: Mapping[str, str]) -> Object:
    include = query.get("includeObject") or "Metadata"
    columns = None if kind.columns is None else list(kind.columns)
    objects = [entry.decode() | {"apiVersion": kind.api_version} for entry in entries]
    made = tables.table(kind.plural, kind.group, objects, now_unix_s, columns, include)
    made["metadata"] = metadata
    return made


def _table_renderer(kind: Kind, clock: Callable[[], float], query: Mapping[str, str]) -> Renderer:
    # Columns travel with the first event only: a client that gets them again prints its heading again.
    told = False

    def render(entry: Entry) -> bytes:
        nonlocal told
        made = _table(kind, [entry], _version(entry), clock(), query)
        if told:
            made["columnDefinitions"] = None
        told = True
        return encode(made)

    return render
