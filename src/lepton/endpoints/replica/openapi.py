"""The OpenAPI document of one endpoint, written from its model's signature. Source: OpenAPI Specification 3.1."""

from __future__ import annotations

from typing import Any

from lepton.core.columns import ColumnType
from lepton.models.prediction import MAX_ROWS
from lepton.models.signature import Input, Signature, Task, class_name

_TYPES = {
    ColumnType.NUMBER: "number",
    ColumnType.INTEGER: "integer",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.TEXT: "string",
}


def document(signature: Signature, *, endpoint: str, model: str) -> dict[str, Any]:
    """Describe how an endpoint is asked with records JSON and what it answers."""
    row = {
        "type": "object",
        "properties": {column.name: _property(column) for column in signature.inputs},
        "required": [column.name for column in signature.inputs],
        "additionalProperties": False,
    }
    answer = {
        "type": "object",
        "properties": {
            "endpoint": {"const": endpoint},
            "model": {"const": model},
            "predictions": {"type": "array", "items": _prediction(signature)},
        },
        "required": ["endpoint", "model", "predictions"],
    }
    failure = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Endpoint {endpoint}", "version": model},
        "security": [{"token": []}],
        "paths": {
            f"/predict/{endpoint}": {
                "post": {
                    "operationId": "predict",
                    "summary": f"Predict {signature.target}",
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Rows"}}},
                    },
                    "responses": {
                        "200": {
                            "description": "One prediction a row.",
                            "content": {"application/json": {"schema": answer}},
                        },
                        "default": {"description": "What went wrong, in one sentence.", "content": failure},
                    },
                }
            }
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Row": row,
                "Rows": {
                    "type": "array",
                    "items": {"$ref": "#/components/schemas/Row"},
                    "minItems": 1,
                    "maxItems": MAX_ROWS,
                    "examples": [[_example(signature)]],
                },
                "Failure": _FAILURE,
            },
        },
    }


_FAILURE = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("code", "message", "request_id")},
            "required": ["code", "message", "request_id"],
        }
    },
    "required": ["error"],
}


def _property(column: Input) -> dict[str, Any]:
    # Other values than the known ones are allowed, so they are examples and no enumeration.
    known = {"examples": list(column.values[:20])} if column.values else {}
    return {"type": [_TYPES[column.type], "null"] if column.nullable else _TYPES[column.type], **known}


def _example(signature: Signature) -> dict[str, Any]:
    """A row that is accepted; of numbers no known values are kept, so it holds any."""
    values = {ColumnType.NUMBER: 1.5, ColumnType.INTEGER: 1, ColumnType.BOOLEAN: True, ColumnType.TEXT: "text"}
    return {column.name: (column.values or (values[column.type],))[0] for column in signature.inputs}


def _prediction(signature: Signature) -> dict[str, Any]:
    if signature.task is Task.REGRESSION:
        return {"type": "object", "properties": {"value": {"type": "number"}}, "required": ["value"]}
    shares = {class_name(label): {"type": "number", "minimum": 0, "maximum": 1} for label in signature.classes or ()}
    return {
        "type": "object",
        "properties": {
            "label": {"enum": list(signature.classes or ())},
            "probabilities": {"type": "object", "properties": shares, "required": list(shares)},
        },
        "required": ["label", "probabilities"],
    }
