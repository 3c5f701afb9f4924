"""The documents a client reads before it touches objects: discovery and OpenAPI, by path and Accept header."""

from __future__ import annotations

from cluster.api import discovery, negotiate, present, status
from cluster.api.kinds import Registry
from tidegate.kube.api import Object

AGGREGATED = "APIGroupDiscoveryList"


class Documents:
    """Answers every GET that does not address a resource."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def answer(self, path: str, accept: str) -> tuple[bytes, str]:
        """Return body and content type of the document at `path`; raises `ApiError` NotFound."""
        if path in ("/api", "/apis"):
            return self._groups(path == "/api", accept)
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

    def _groups(self, core: bool, accept: str) -> tuple[bytes, str]:
        wanted = negotiate.accepted(accept, (AGGREGATED,))
        if wanted.form == AGGREGATED:
            served = wanted.parameters.get("v", "v2")
            body = present.encode(discovery.aggregated(self._registry, core, served))
            return body, f"{negotiate.JSON};g=apidiscovery.k8s.io;v={served};as={AGGREGATED}"
        document = discovery.core_versions() if core else discovery.groups(self._registry)
        return present.encode(document), negotiate.JSON
