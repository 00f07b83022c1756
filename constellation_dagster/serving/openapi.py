"""The server's OpenAPI description, made from the model's signature."""

from collections.abc import Mapping
from typing import Any

from constellation_dagster.serving.manifest import SignatureLike, TensorLike

_ELEMENTS: Mapping[str, str] = {"BOOL": "boolean", "BYTES": "string"}


def openapi(model: str, version: str, signature: SignatureLike) -> dict[str, Any]:
    """An OpenAPI 3.1 document.

    Args:
        model: The model's name.
        version: Its version.
        signature: What it takes and gives.
    """
    base = f"/v2/models/{model}"
    problem = {"$ref": "#/components/schemas/Problem"}
    infer = {
        "post": {
            "summary": "Ask the model.",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _request(signature)}},
            },
            "responses": {
                "200": _json("What the model says.", _response(model, version, signature)),
                "400": _json("The request does not fit; the error lists all problems.", problem),
                "413": _json("The body is too large.", problem),
                "429": _json("Too many requests wait; Retry-After says when to ask.", problem),
                "500": _json("The model failed.", problem),
                "504": _json("The model took too long.", problem),
            },
        }
    }
    invocations = {
        "post": {
            "summary": "Ask the model as clients of MLflow do.",
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"type": "object"}},
                    "text/csv": {"schema": {"type": "string"}},
                },
            },
            "responses": {"200": _json("The predictions.", {"type": "object"})},
        }
    }
    gets = {
        "/v2": "About the server.",
        "/v2/health/live": "Whether the server answers.",
        "/v2/health/ready": "Whether the server takes requests; 503 if not.",
        base: "The model's inputs and outputs.",
        f"{base}/ready": "Whether the model takes requests; 503 if not.",
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": model,
            "version": version,
            "description": "Open Inference Protocol, version 2.",
        },
        "paths": {
            **{path: _get(summary, {"type": "object"}) for path, summary in gets.items()},
            f"{base}/infer": infer,
            "/invocations": invocations,
        },
        "components": {
            "schemas": {
                "Problem": _object({"error": {"type": "string"}}),
            }
        },
    }


def _get(summary: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": {"200": _json(summary, schema)}}}


def _json(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _object(properties: Mapping[str, Any], *optional: str) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _request(signature: SignatureLike) -> dict[str, Any]:
    named = _object({"name": {"enum": [spec.name for spec in signature.outputs]}})
    properties = {
        "id": {"type": "string"},
        "inputs": _tensors([_tensor(spec) for spec in signature.inputs]),
        "outputs": {"type": "array", "items": named},
        "parameters": {"type": "object"},
    }
    return _object(properties, "id", "outputs", "parameters")


def _response(model: str, version: str, signature: SignatureLike) -> dict[str, Any]:
    properties = {
        "model_name": {"const": model},
        "model_version": {"const": version},
        "id": {"type": "string"},
        "outputs": _tensors([_tensor(spec) for spec in signature.outputs]),
    }
    return _object(properties, "id")


def _tensors(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "array", "items": {"oneOf": schemas}, "maxItems": len(schemas)}


def _tensor(spec: TensorLike) -> dict[str, Any]:
    kind = _ELEMENTS.get(spec.datatype, "number" if spec.datatype[0] == "F" else "integer")
    sizes = [{"type": "integer"} if size < 0 else {"const": size} for size in spec.shape]
    shape = {"type": "array", "prefixItems": sizes, "minItems": len(sizes), "maxItems": len(sizes)}
    return _object(
        {
            "name": {"const": spec.name},
            "datatype": {"const": spec.datatype},
            "shape": shape,
            "data": {
                "type": "array",
                "description": "Row-major: flat, or nested as its shape is.",
                "items": {"anyOf": [{"type": kind}, {"type": "array"}]},
            },
            "parameters": {"type": "object"},
        },
        "data",
        "parameters",
    )
