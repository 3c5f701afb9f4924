"""OpenAPI documents: complete references, and what kubectl looks up in them."""

import json

import pytest

from cluster.api.openapi import swagger, v3_document, v3_index

CRD = {
    "spec": {
        "group": "serving.example.dev",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "A widget.",
                        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
                    }
                },
            },
            {"name": "v1alpha1", "served": False},
            {"name": "v2", "served": True},
        ],
    }
}
GVK = {"group": "serving.example.dev", "version": "v1", "kind": "Widget"}


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_index():
    paths = v3_index([CRD])["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/serving.example.dev/v1", "apis/serving.example.dev/v2"} <= set(paths)
    assert "apis/serving.example.dev/v1alpha1" not in paths
    assert paths["apis/apps/v1"] == {"serverRelativeURL": "/openapi/v3/apis/apps/v1"}


@pytest.mark.parametrize("group_version", sorted(v3_index([CRD])["paths"]))
def test_every_document_is_complete(group_version):
    document = v3_document(group_version, [CRD])
    schemas = document["components"]["schemas"]
    missing = {ref for ref in references(document) if ref.removeprefix("#/components/schemas/") not in schemas}
    assert missing == set()
    for item in document["paths"].values():
        assert "x-kubernetes-group-version-kind" in item["get"]


def test_unknown_document():
    assert v3_document("apis/nothing/v1", [CRD]) is None


def test_what_kubectl_looks_up():
    document = v3_document("apis/serving.example.dev/v1", [CRD])
    patch = document["paths"]["/apis/serving.example.dev/v1/namespaces/{namespace}/widgets/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == GVK
    names = {parameter["name"] for parameter in patch["parameters"] if parameter["in"] == "query"}
    assert {"fieldValidation", "dryRun", "fieldManager", "force"} <= names
    schema = document["components"]["schemas"]["dev.example.serving.v1.Widget"]
    assert schema["x-kubernetes-group-version-kind"] == [GVK]
    assert schema["properties"]["spec"]["properties"]["size"] == {"type": "integer"}
    assert "allOf" in schema["properties"]["metadata"]


def test_built_in_schemas():
    schemas = v3_document("api/v1", [])["components"]["schemas"]
    pod = schemas["io.k8s.api.core.v1.Pod"]
    assert pod["x-kubernetes-group-version-kind"] == [{"group": "", "version": "v1", "kind": "Pod"}]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["items"]["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}]
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    ports = schemas["io.k8s.api.core.v1.ServiceSpec"]["properties"]["ports"]
    assert ports["x-kubernetes-list-map-keys"] == ["port", "protocol"]
    assert "/api/v1/namespaces/{name}" in v3_document("api/v1", [])["paths"]


def test_swagger():
    document = swagger([CRD])
    missing = {ref for ref in references(document) if ref.removeprefix("#/definitions/") not in document["definitions"]}
    assert missing == set()
    assert "dev.example.serving.v1.Widget" in document["definitions"]
    body = document["paths"]["/api/v1/nodes"]["post"]["parameters"][-1]
    assert body["in"] == "body"
    json.dumps(document)


def test_the_definition_is_not_changed():
    before = json.dumps(CRD)
    v3_document("apis/serving.example.dev/v1", [CRD])
    assert json.dumps(CRD) == before
