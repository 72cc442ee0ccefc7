"""The document of an endpoint: valid OpenAPI 3.1, and true of what the endpoint takes and answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from endpoints.models import MIXED, NUMERIC, ROW, TEXTS, outputs_of
from fastapi.openapi.models import OpenAPI

from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.inputs import Shape
from lepton.endpoints.replica.openapi import document
from lepton.endpoints.replica.records import Records
from lepton.models.prediction import decode_rows
from lepton.models.signature import Signature

EVERY = pytest.mark.parametrize("signature", [MIXED, NUMERIC, TEXTS], ids=["mixed", "numeric", "texts"])
TYPES = {
    "null": type(None), "boolean": bool, "integer": int, "number": (int, float), "string": str, "array": list,
    "object": dict,
}  # fmt: skip
KNOWN = {
    "$ref", "type", "properties", "required", "additionalProperties", "items", "minItems", "maxItems", "minimum",
    "maximum", "const", "enum", "examples",
}  # fmt: skip


def fits(schema: dict[str, Any], value: Any, whole: dict[str, Any]) -> bool:
    """Whether a value is valid: JSON Schema 2020-12, the words that the document uses and no others."""
    assert set(schema) <= KNOWN
    if "$ref" in schema:
        target: Any = whole
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return fits(target, value, whole)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    is_kind = [isinstance(value, TYPES[k]) and (k in ("boolean",) or not isinstance(value, bool)) for k in kinds]
    if kinds and not any(is_kind):
        return False
    if value != schema.get("const", value) or value not in schema.get("enum", [value]):
        return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        if not set(schema.get("required", [])) <= set(value):
            return False
        if schema.get("additionalProperties") is False and not set(value) <= set(known):
            return False
        return all(fits(known[name], each, whole) for name, each in value.items() if name in known)
    if isinstance(value, list):
        sized = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return sized and all(fits(schema["items"], each, whole) for each in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True


def written(signature: Signature) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(document(signature, endpoint="shop", model="buyers@3")))
    return found


@EVERY
def test_the_document_is_openapi_3_1(signature: Signature) -> None:
    found = written(signature)
    read = OpenAPI.model_validate(found)
    assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == found
    assert found["openapi"] == "3.1.0"
    operation = read.paths["/predict/shop"].post  # type: ignore[index]
    assert operation is not None
    assert operation.requestBody.required  # type: ignore[union-attr]


@EVERY
def test_the_examples_of_the_document_are_accepted(signature: Signature) -> None:
    found = written(signature)
    examples = found["components"]["schemas"]["Rows"]["examples"]
    assert examples
    for example in examples:
        assert fits({"$ref": "#/components/schemas/Rows"}, example, found)
        Records(Shape(signature), endpoint="shop", model="buyers@3").decode(json.dumps(example).encode())
    for name, column in found["components"]["schemas"]["Row"]["properties"].items():
        for value in column.get("examples", []):
            row = {**examples[0][0], name: value}
            Records(Shape(signature), endpoint="shop", model="buyers@3").decode(json.dumps([row]).encode())


@EVERY
def test_answers_are_as_the_document_says(signature: Signature) -> None:
    found = written(signature)
    rows = found["components"]["schemas"]["Rows"]["examples"][0] * 3
    outputs = outputs_of(signature, decode_rows(signature, rows))
    answer = json.loads(Records(Shape(signature), endpoint="shop", model="buyers@3").encode(outputs, 0, 3))
    responses = found["paths"]["/predict/shop"]["post"]["responses"]
    assert fits(responses["200"]["content"]["application/json"]["schema"], answer, found)
    failure = responses["default"]["content"]["application/json"]["schema"]
    assert fits(failure, {"error": {"code": "c", "message": "m", "request_id": "r"}}, found)
    assert not fits(failure, {"error": "m"}, found)


@pytest.mark.parametrize(
    "change", [{"age": "x"}, {"income": True}, {"member": 1}, {"city": 5}, {"planet": 1}, {"age": ...}]
)
def test_what_the_document_forbids_is_refused(change: dict[str, Any]) -> None:
    found = written(MIXED)
    row = {name: value for name, value in {**ROW, **change}.items() if value is not ...}
    assert fits({"$ref": "#/components/schemas/Rows"}, [ROW, {**ROW, "age": None}], found)
    assert not fits({"$ref": "#/components/schemas/Rows"}, [row], found)
    with pytest.raises(InvalidInput):
        Records(Shape(MIXED), endpoint="shop", model="buyers@3").decode(json.dumps([row]).encode())
