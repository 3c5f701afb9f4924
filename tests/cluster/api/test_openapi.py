"""OpenAPI documents: complete references, and what kubectl looks up in them."""

import json

import pytest

from cluster.api import openapi_protobuf
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


def with_spec(schema):
    spec = CRD["spec"]
    version = {"name": "v1", "served": True, "schema": {"openAPIV3Schema": {"properties": {"spec": schema}}}}
    return {"spec": spec | {"versions": [version]}}


SIZES = {"size": {"type": "integer"}}


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        pytest.param(
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": SIZES},
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            id="where fields beyond the schema are kept none are named",
        ),
        pytest.param(
            {"type": "array", "x-kubernetes-preserve-unknown-fields": True, "items": {"type": "object"}},
            {"x-kubernetes-preserve-unknown-fields": True},
            id="what is no array of something has no type",
        ),
        pytest.param(
            {"type": "object", "nullable": True, "properties": SIZES, "description": "D"},
            {"description": "D"},
            id="what may be null has neither type nor fields",
        ),
        pytest.param(
            {
                "required": ["a", "b"],
                "properties": {"a": {"type": "string"}, "b": {"type": "string", "nullable": True}},
            },
            {"required": ["a"], "properties": {"a": {"type": "string"}, "b": {}}},
            id="what may be null is not required",
        ),
        pytest.param(
            {"required": ["b"], "properties": {"b": {"nullable": True}}},
            {"properties": {"b": {}}},
            id="nothing is required",
        ),
        pytest.param(
            {"properties": {"not": SIZES["size"], "nullable": SIZES["size"], "type": SIZES["size"]}},
            {"properties": {"not": SIZES["size"], "nullable": SIZES["size"], "type": SIZES["size"]}},
            id="fields named like words of schemas stay",
        ),
        pytest.param(
            {"type": "object", "default": {"required": 1, "not": 2}, "additionalProperties": {"anyOf": [{}]}},
            {"type": "object", "default": {"required": 1, "not": 2}, "additionalProperties": {}},
            id="defaults are no schemas and values of maps are",
        ),
    ],
)
def test_v2_says_less_where_its_readers_would_refuse_what_the_server_takes(schema, shown):
    crd = with_spec(schema)
    assert swagger([crd])["definitions"]["dev.example.serving.v1.Widget"]["properties"]["spec"] == shown
    document = v3_document("apis/serving.example.dev/v1", [crd])
    assert document["components"]["schemas"]["dev.example.serving.v1.Widget"]["properties"]["spec"] == schema


def test_the_definition_is_not_changed():
    before = json.dumps(CRD)
    v3_document("apis/serving.example.dev/v1", [CRD])
    assert json.dumps(CRD) == before


def test_a_two_typed_field_is_a_string_in_v2_and_references_are_bare():
    definitions = swagger([CRD])["definitions"]
    port = definitions["io.k8s.api.core.v1.ServicePort"]["properties"]["targetPort"]
    assert (port["type"], port["format"]) == ("string", "int-or-string")
    assert (
        definitions["io.k8s.api.core.v1.Pod"]["properties"]["spec"]["$ref"]
        == "#/definitions/io.k8s.api.core.v1.PodSpec"
    )
    containers = definitions["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"


def test_the_binary_form():
    document = {
        "swagger": "2.0",
        "info": {"title": "T", "version": "v"},
        "paths": {"/a": {"get": {"operationId": "o", "parameters": [{"name": "p", "in": "query", "type": "string"}]}}},
        "definitions": {"D": {"type": "object", "properties": {"n": {"type": "integer"}}, "x-g": [1]}},
    }
    assert openapi_protobuf.encode(document) == (
        b"\n\x032.0\x12\x06\n\x01T\x12\x01v"
        b"B'\x12%\n\x02/a\x12\x1f\x12\x1d*\x01oB\x18\n\x16\x12\x14\x1a\x12\"\x01p\x12\x05query2\x06string"
        b"J7\n5\n\x01D\x120\xb2\x01\x08\n\x06object\xca\x01\x13\n\x11\n\x01n\x12\x0c\xb2\x01\t\n\x07integer"
        b"\xfa\x01\x0c\n\x03x-g\x12\x05\x12\x03[1]"
    )
