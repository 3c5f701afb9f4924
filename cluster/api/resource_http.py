"""Resource requests over HTTP: method, query and body turned into a verb, and its outcome into an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from aiohttp import web

from cluster.api import (
    deletes,
    evictions,
    negotiate,
    operations,
    paging,
    present,
    protobuf,
    reads,
    scale,
    status,
    subresources,
    users,
    watch_http,
    writes,
)
from cluster.api.backend import Backend
from cluster.api.connect import Connector
from cluster.api.kinds import Kind
from cluster.api.routing import Target
from cluster.api.strictness import Strictness
from cluster.api.tokens import Authenticator
from cluster.api.users import Call
from cluster.store import Entry, HistoryGone
from tidegate.kube.api import Object, PatchKind

FORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
MANAGER_LIMIT = 128


class Resources:
    """Answers requests that address a kind."""

    def __init__(self, backend: Backend, authenticator: Authenticator, connector: Connector) -> None:
        self._backend = backend
        self._connector = connector
        self._authenticator = authenticator

    async def answer(self, request: web.Request, target: Target, user: users.User) -> web.StreamResponse:
        """Answer one authenticated request; raises `ApiError`."""
        kind = operations.kind_of(self._backend, target.group, target.version, target.plural, target.subresource)
        response = await self._dispatch(request, kind, target, user)
        if kind.warning and not response.prepared:
            response.headers.add("Warning", f'299 - "{_quoted(kind.warning)}"')
        return response

    async def _dispatch(self, request: web.Request, kind: Kind, target: Target, user: users.User) -> web.StreamResponse:
        method = "GET" if request.method == "HEAD" else request.method
        if target.subresource == "proxy":
            return await self._connector.proxy(request, kind, target)
        if target.subresource == "exec" and method in ("GET", "POST"):
            return await self._connector.exec(request, kind, target)
        if target.subresource == "attach" and method in ("GET", "POST"):
            return await self._connector.attach(request, kind, target)
        if target.subresource == "portforward" and method in ("GET", "POST"):
            return await self._connector.port_forward(request, kind, target)
        if target.subresource == "log" and method == "GET":
            return await self._connector.logs(request, kind, target)
        if method == "GET":
            return await self._read(request, kind, target)
        call = call_of(request, user, self._backend.strictness)
        if method == "POST":
            return await self._create(request, kind, target, call)
        if method == "PUT" and target.name:
            obj = await body_of(request)
            entry = await operations.replace(
                self._backend, kind, target.namespace, target.name, target.subresource, obj, call
            )
            return self._object(request, kind, entry, target.subresource, call)
        if method == "PATCH" and target.name:
            return await self._patch(request, kind, target, call)
        if method == "DELETE" and not target.subresource:
            return await self._delete(request, kind, target, call)
        raise status.method_not_allowed(kind.named, method.lower())

    # Reading

    async def _read(self, request: web.Request, kind: Kind, target: Target) -> web.StreamResponse:
        query = request.query
        if target.name and not _is_true(query, "watch"):
            paging.check_not_ahead(query.get("resourceVersion", ""), self._backend.store.revision)
            entry = reads.get(self._backend, kind, target.namespace, target.name)
            return self._object(request, kind, entry, target.subresource, None)
        fields = query.get("fieldSelector", "")
        if target.name:
            fields = f"metadata.name={target.name}"
        selection = reads.select(kind, target.namespace, query.get("labelSelector", ""), fields)
        wanted = negotiate.accepted(request.headers.get("Accept", ""), FORMS)
        if _is_true(query, "watch"):
            return await watch_http.stream(request, self._backend, kind, selection, wanted)
        revision = self._backend.store.revision
        wish = paging.wish(query, revision)
        try:
            entries = reads.list_entries(self._backend, kind, selection, wish.at)
        except HistoryGone as error:
            raise paging.too_old(wish) from error
        page = paging.page(entries, wish, revision)
        return _json(present.list_in_form(kind, page, wanted, self._backend.clock(), query))

    def _object(
        self, request: web.Request, kind: Kind, entry: Entry, subresource: str, call: Call | None, code: int = 200
    ) -> web.Response:
        if subresource == "scale":
            body = present.encode(scale.scale_of(kind, present.decoded(kind, entry)))
        else:
            wanted = negotiate.accepted(request.headers.get("Accept", ""), FORMS)
            body = present.object_in_form(kind, entry, wanted, self._backend.clock(), request.query)
        return _json(body, code, call)

    # Writing

    async def _create(self, request: web.Request, kind: Kind, target: Target, call: Call) -> web.Response:
        obj = await body_of(request)
        if target.name:
            return await self._act(kind, target, obj, call)
        namespace = target.namespace
        entry = await writes.create(self._backend, kind, namespace, obj, call)
        return self._object(request, kind, entry, "", call, 201)

    async def _act(self, kind: Kind, target: Target, body: Object, call: Call) -> web.Response:
        where = (self._backend, kind, target.namespace, target.name, body)
        match target.subresource:
            case "token":
                answer = subresources.token_request(*where, self._authenticator, call.user)
            case "binding":
                answer = await subresources.bind(*where, call)
            case "eviction":
                answer = await evictions.evict(*where, call)
            case _:
                raise status.method_not_allowed(kind.named, "create")
        return _json(present.encode(answer), 201, call)

    async def _patch(self, request: web.Request, kind: Kind, target: Target, call: Call) -> web.Response:
        patch_kind = _patch_kind(request)
        patch = await body_of(request)
        entry, created = await operations.patch(
            self._backend, kind, target.namespace, target.name, target.subresource, patch, patch_kind, call
        )
        return self._object(request, kind, entry, target.subresource, call, 201 if created else 200)

    async def _delete(self, request: web.Request, kind: Kind, target: Target, call: Call) -> web.Response:
        options, dry_run = await delete_options(request)
        call = replace(call, dry_run=call.dry_run or dry_run)
        if target.name:
            key = self._backend.key(kind, target.namespace, target.name)
            entry, gone = await deletes.delete(self._backend, kind, key, options, call)
            if gone and kind.kind != "Pod":
                done = status.success(kind.named, target.name, entry.shadow["metadata"]["uid"])
                return _json(present.encode(done), 200, call)
            return self._object(request, kind, entry, "", call)
        query = request.query
        selection = reads.select(kind, target.namespace, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        entries = await deletes.delete_collection(self._backend, kind, selection, options, call)
        return _json(
            present.list_body(kind, entries, {"resourceVersion": str(self._backend.store.revision)}), 200, call
        )


# Reading requests


def call_of(request: web.Request, user: users.User, strictness: Strictness) -> Call:
    """Return who calls and with which options; raises `ApiError` BadRequest."""
    query = request.query
    dry_run = is_dry_run(query.getall("dryRun", []))
    manager = query.get("fieldManager") or request.headers.get("User-Agent", "unknown").split("/", 1)[0]
    validation = query.get("fieldValidation") or strictness.field_validation
    if validation not in ("Strict", "Warn", "Ignore"):
        raise status.bad_request(f"fieldValidation must be Ignore, Warn or Strict, not {validation}")
    return Call(user, manager[:MANAGER_LIMIT], dry_run, validation, _is_true(query, "force"))


def is_dry_run(values: Any) -> bool:
    """Whether a `dryRun` option, of query or body, asks for one; raises `ApiError` Invalid for any value but All."""
    wrong = next((value for value in values or () if value != "All"), None)
    if wrong is not None:
        cause = ("dryRun", f'Unsupported value: "{wrong}": supported values: "All"', "FieldValueNotSupported")
        raise status.invalid(status.Named("meta.k8s.io", "", "WriteOptions"), "", [cause])
    return bool(values)


async def body_of(request: web.Request) -> Any:
    """Return the parsed body, JSON, YAML or the binary encoding; raises `ApiError`."""
    content_type = request.content_type
    if content_type.endswith("yaml"):
        return _yaml(await request.read())
    if content_type == protobuf.MEDIA_TYPE:
        return _protobuf(await request.read())
    if not content_type.endswith("json") and content_type != "application/octet-stream":
        raise status.unsupported_media_type(content_type, [negotiate.JSON, "application/yaml"])
    try:
        return msgspec.json.decode(await request.read())
    except msgspec.DecodeError as error:
        raise status.bad_request(f"the body is not JSON: {error}") from error


def _yaml(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)  # kubectl calls its JSON YAML, and this is a hundred times faster
    except msgspec.DecodeError:
        pass
    import yaml

    try:
        return yaml.load(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise status.bad_request(f"the body is not YAML: {error}") from error


def _protobuf(body: bytes) -> Any:
    try:
        return protobuf.decode(body)
    except protobuf.ProtobufError as error:
        raise status.unsupported_media_type(f"{protobuf.MEDIA_TYPE}: {error}", [negotiate.JSON]) from error


def _patch_kind(request: web.Request) -> PatchKind:
    try:
        return PatchKind(request.content_type)
    except ValueError:
        raise status.unsupported_media_type(request.content_type, list(PatchKind)) from None


async def delete_options(request: web.Request) -> tuple[deletes.Options, bool]:
    """Return what a deletion asks for, from body and query, and whether only to try it; raises `ApiError`."""
    body: Object = await body_of(request) if request.can_read_body else {}
    if not isinstance(body, dict):
        raise status.bad_request("DeleteOptions must be an object")
    query = request.query
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    conditions = body.get("preconditions") or {}
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy", "")
    if body.get("orphanDependents"):
        propagation = "Orphan"
    options = deletes.Options(
        None if grace is None else int(grace),
        conditions.get("uid") or "",
        conditions.get("resourceVersion") or "",
        propagation,
    )
    return options, is_dry_run(body.get("dryRun"))


def _is_true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")


def _json(body: bytes, code: int = 200, call: Call | None = None) -> web.Response:
    response = web.Response(status=code, body=body, headers={"Content-Type": negotiate.JSON})
    for text in call.warnings if call else ():
        response.headers.add("Warning", f'299 - "{_quoted(text)}"')
    return response


def _quoted(text: str) -> str:
    return "".join(mark for mark in text if mark >= " ").replace("\\", "\\\\").replace('"', '\\"')
