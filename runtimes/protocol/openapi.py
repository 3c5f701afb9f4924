"""An OpenAPI 3.1 document for one model, made from what it declares (pure)."""

from __future__ import annotations

from typing import Any

from runtimes.messages import ModelSpec, TensorSpec

_JSON_TYPES = {"BOOL": "boolean", "BYTES": "string"}


def document(name: str, spec: ModelSpec) -> dict[str, Any]:
    """Return the document: V2 infer, V1 predict and the readiness of the model."""
    base = f"/v2/models/{name}"
    schemas = {
        "InferRequest": _object({"id": {"type": "string"}, "inputs": _tensors(spec.inputs)}, ["inputs"]),
        "InferResponse": _object(
            {"model_name": {"const": name}, "model_version": {"type": "string"}, "outputs": _tensors(spec.outputs)},
            ["model_name", "outputs"],
        ),
        "PredictRequest": _object({"instances": {"type": "array"}, "inputs": {}}, []),
        "PredictResponse": _object({"predictions": {"type": "array"}, "outputs": {}}, []),
        "Error": _object({"error": {"type": "string"}, "reason": {"type": "string"}}, ["error"]),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": "1", "description": f"Model on {spec.platform}"},
        "paths": {
            f"{base}/infer": {"post": _call("infer", "InferRequest", "InferResponse")},
            f"/v1/models/{name}:predict": {"post": _call("predict", "PredictRequest", "PredictResponse")},
            f"{base}/ready": {"get": {"operationId": "ready", "responses": {"200": {"description": "ready"}}}},
        },
        "components": {"schemas": schemas},
    }


def _call(operation: str, asked: str, answered: str) -> dict[str, Any]:
    failures = {
        status: {"description": text, "content": _content("Error")}
        for status, text in (("400", "a tensor does not fit"), ("404", "unknown"), ("429", "queue full"))
    }
    return {
        "operationId": operation,
        "requestBody": {"required": True, "content": _content(asked)},
        "responses": {"200": {"description": "the answer", "content": _content(answered)}, **failures},
    }


def _content(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _tensors(specs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    if not specs:
        return {"type": "array", "items": {"type": "object"}}
    return {"type": "array", "items": {"anyOf": [_tensor(spec) for spec in specs]}}


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    shape = [{"type": "integer", "minimum": 0} if size == -1 else {"const": size} for size in spec.shape]
    item = _JSON_TYPES.get(spec.datatype, "number" if "FP" in spec.datatype or spec.datatype == "BF16" else "integer")
    properties = {
        "name": {"const": spec.name},
        "datatype": {"const": spec.datatype},
        "shape": {"type": "array", "prefixItems": shape, "minItems": len(shape), "maxItems": len(shape)},
        "data": {"type": "array", "description": f"nested or flat {item} values, row by row"},
    }
    return _object(properties, ["name", "datatype", "shape"])
