"""The OpenAPI documents of the API server: v2 as a whole, v3 by group and version. Pure.

kubectl reads them for two things: `explain`, which finds a kind's schema through the GET operation of its path, and the
query parameters of PATCH operations, which tell it whether the server validates fields and can do dry runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.api.openapi_schemas import (
    GVK,
    Described,
    as_swagger,
    built_in_kinds,
    custom_kinds,
    schema_of_kind,
    schema_of_type,
    type_name,
    types_used,
)
from tidegate.kube.api import Object

_INFO = {"title": "Kubernetes", "version": "v1.32.0"}
_REF_V2, _REF_V3 = "#/definitions/", "#/components/schemas/"
_WRITE_PARAMETERS = ("pretty", "dryRun", "fieldManager", "fieldValidation")
# Strategic merge patch is served, but not listed: a client that finds it here computes patches of built-in kinds from
# these schemas instead of from the types it was built with, which know more.
_PATCH_TYPES = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
_VERBS = (("get", "get"), ("put", "update"), ("patch", "patch"), ("delete", "delete"))
_COLLECTION_VERBS = (("get", "list"), ("post", "create"), ("delete", "deletecollection"))


def _all_kinds(crds: list[Object]) -> list[Described]:
    return [*built_in_kinds(), *custom_kinds(crds)]


def v3_index(crds: list[Object]) -> Object:
    """Return the answer to /openapi/v3: where the document of each group and version is."""
    groups = sorted({kind.group_version for kind in _all_kinds(crds)})
    return {"paths": {group: {"serverRelativeURL": f"/openapi/v3/{group}"} for group in groups}}


def v3_document(group_version: str, crds: list[Object]) -> Object | None:
    """Return the v3 document of `api/v1` or `apis/<group>/<version>`, None when nothing is served there."""
    kinds = [kind for kind in _all_kinds(crds) if kind.group_version == group_version]
    if not kinds:
        return None
    paths: Object = {}
    for kind in kinds:
        paths |= dict(_paths(kind, is_v3=True))
    return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": _schemas(kinds, _REF_V3)}}


def swagger(crds: list[Object]) -> Object:
    """Return the v2 document of everything served."""
    kinds = _all_kinds(crds)
    paths: Object = {}
    for kind in kinds:
        paths |= dict(_paths(kind, is_v3=False))
    definitions = {name: as_swagger(schema) for name, schema in _schemas(kinds, _REF_V2).items()}
    return {"swagger": "2.0", "info": _INFO, "paths": paths, "definitions": definitions}


def _schemas(kinds: list[Described], prefix: str) -> Object:
    schemas = {type_name(name): schema_of_type(name, prefix) for name in types_used(kinds)}
    return schemas | {kind.definition: schema_of_kind(kind, prefix) for kind in kinds}


def _paths(kind: Described, is_v3: bool) -> Iterator[tuple[str, Object]]:
    place = "/namespaces/{namespace}" if kind.namespaced else ""
    collection = f"/{kind.group_version}{place}/{kind.plural}"
    if kind.namespaced:
        yield f"/{kind.group_version}/{kind.plural}", _path_item(kind, _COLLECTION_VERBS[:1], [], is_v3)
    path_parameters = [_parameter("namespace", "path", is_v3)] if kind.namespaced else []
    yield collection, _path_item(kind, _COLLECTION_VERBS, path_parameters, is_v3)
    path_parameters = [*path_parameters, _parameter("name", "path", is_v3)]
    yield f"{collection}/{{name}}", _path_item(kind, _VERBS, path_parameters, is_v3)


def _path_item(kind: Described, verbs: tuple[tuple[str, str], ...], parameters: list[Object], is_v3: bool) -> Object:
    item: Object = {method: _operation(kind, method, action, is_v3) for method, action in verbs}
    return item | ({"parameters": parameters} if parameters else {})


def _operation(kind: Described, method: str, action: str, is_v3: bool) -> Object:
    names = [*_WRITE_PARAMETERS, *(("force",) if method == "patch" else ())] if method != "get" else ["pretty"]
    reference = {"$ref": f"{_REF_V3 if is_v3 else _REF_V2}{kind.definition}"}
    operation: Object = {
        "description": f"{action} {kind.kind}",
        "operationId": f"{action}{kind.group.title().replace('.', '')}{kind.version.title()}{kind.kind}",
        "parameters": [_parameter(name, "query", is_v3) for name in names],
        "x-kubernetes-action": action,
        GVK: kind.gvk,
    }
    if is_v3:
        operation["responses"] = {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}}
        if method in ("post", "put", "patch"):
            types = _PATCH_TYPES if method == "patch" else ("application/json", "application/yaml")
            schema = {"type": "object"} if method == "patch" else reference
            operation["requestBody"] = {"content": {media: {"schema": schema} for media in types}}
        return operation
    operation["responses"] = {"200": {"description": "OK", "schema": reference}}
    if method in ("post", "put", "patch"):
        schema = {"type": "object"} if method == "patch" else reference
        operation["parameters"].append({"name": "body", "in": "body", "required": True, "schema": schema})
        if method == "patch":
            operation["consumes"] = list(_PATCH_TYPES)
    return operation


def _parameter(name: str, place: str, is_v3: bool) -> Object:
    kind = {"type": "boolean" if name == "force" else "string"}
    parameter: Object = {"name": name, "in": place} | ({"schema": kind} if is_v3 else kind)
    return parameter | ({"required": True} if place == "path" else {})
