"""The documents a client reads before it touches objects: discovery and OpenAPI, by path and Accept header."""

from __future__ import annotations

from cluster.api import discovery, negotiate, openapi, openapi_protobuf, present, status
from cluster.api.crds import DEFINITIONS
from cluster.api.kinds import Registry
from cluster.store import Change, Store
from tidegate.kube.api import Object

AGGREGATED = "APIGroupDiscoveryList"
SCHEMAS_KEPT = 64


class Documents:
    """Answers every GET that does not address a resource."""

    def __init__(self, registry: Registry, store: Store) -> None:
        self._registry = registry
        self._store = store
        self._schemas: dict[tuple[str, str], bytes] = {}
        store.observe(DEFINITIONS, self._forget)

    def _forget(self, _: Change) -> None:
        self._schemas.clear()

    def answer(self, path: str, accept: str) -> tuple[bytes, str]:
        """Return body and content type of the document at `path`; raises `ApiError` NotFound."""
        if path in ("/api", "/apis"):
            return self._groups(path == "/api", accept)
        if path.startswith("/openapi/"):
            return self._openapi(path, accept)
        segments = path.split("/")[1:]
        document: Object | None = None
        if path == "/":
            document = {
                "paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/readyz", "/version"]
            }
        elif segments[0] == "api" and len(segments) == 2:
            document = discovery.resources(self._registry, "", segments[1])
        elif segments[0] == "apis" and len(segments) == 2:
            document = discovery.group(self._registry, segments[1])
        elif segments[0] == "apis" and len(segments) == 3:
            document = discovery.resources(self._registry, segments[1], segments[2])
        if document is None:
            raise status.no_such_path()
        return present.encode(document), negotiate.JSON

    def _openapi(self, path: str, accept: str) -> tuple[bytes, str]:
        # kubectl before 1.27 takes the v2 document in protobuf and nothing else; newer ones fall back to it.
        binary = path == "/openapi/v2" and _first_type(accept) in openapi_protobuf.MEDIA_TYPES
        if not binary:
            negotiate.accepted(accept, ())
        form = openapi_protobuf.MEDIA_TYPES[1] if binary else negotiate.JSON
        body = self._schemas.get((path, form))
        if body is None:
            definitions = [entry.decode() for entry in self._store.entries(DEFINITIONS)]
            document = _schema_document(path, definitions)
            if document is None:
                raise status.no_such_path()
            body = openapi_protobuf.encode(document) if binary else present.encode(document)
            if len(self._schemas) < SCHEMAS_KEPT:
                self._schemas[path, form] = body
        return body, form

    def _groups(self, core: bool, accept: str) -> tuple[bytes, str]:
        wanted = negotiate.accepted(accept, (AGGREGATED,))
        if wanted.form == AGGREGATED:
            served = wanted.parameters.get("v", "v2")
            body = present.encode(discovery.aggregated(self._registry, core, served))
            return body, f"{negotiate.JSON};g=apidiscovery.k8s.io;v={served};as={AGGREGATED}"
        document = discovery.core_versions() if core else discovery.groups(self._registry)
        return present.encode(document), negotiate.JSON


def _schema_document(path: str, definitions: list[Object]) -> Object | None:
    if path == "/openapi/v2":
        return openapi.swagger(definitions)
    if path == "/openapi/v3":
        return openapi.v3_index(definitions)
    prefix, _, group_version = path.partition("/openapi/v3/")
    return openapi.v3_document(group_version, definitions) if not prefix else None


def _first_type(accept: str) -> str:
    return accept.partition(",")[0].partition(";")[0].strip()
