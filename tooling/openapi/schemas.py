"""Schemas that client generators understand: no encoding of `oneof`, one schema for Any, typed details of errors, and
the bounds that the comments of the fields state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.rpc import error_details_pb2

__all__ = ["JsonObject", "correct"]

JsonObject = dict[str, Any]

ANY = "google.protobuf.Any"
DETAIL = "google.rpc.ErrorDetail"
STATUS = "google.rpc.Status"
TYPE_URL = {
    "type": "string",
    "description": "The type of the message, such as `type.googleapis.com/google.rpc.ErrorInfo`.",
}
DETAILS = ("ErrorInfo", "BadRequest", "QuotaFailure", "RetryInfo", "RequestInfo")
"""The messages of google.rpc that our errors carry."""

_CHARACTERS = re.compile(r"(?:(\d+) to|up to) ([\d,]+) characters(?! after)")
_NUMBERS = re.compile(r"(\d+) to (\d+)\b")
_ITEMS = re.compile(r"\bare (\d+) to ([\d,]+) ")
_NAME = re.compile(r"(\d+) to (\d+) of a-z, 0-9 and (single hyphens|underscores), starting with a letter")
_PATTERNS = {"single hyphens": "^[a-z](-?[a-z0-9])*$", "underscores": "^[a-z][a-z0-9_]*$"}
_REFERENCE = re.compile(r"\bsee (\w+)\.(\w+)")


def correct(document: JsonObject) -> None:
    """Correct every schema of the document."""
    schemas: JsonObject = document["components"]["schemas"]
    for node in _nodes(document):
        _without_one_of(node)
    for node in list(_nodes(document)):
        _share_any(node)
        for name, schema in node.get("properties", {}).items():
            _bound(schema, schema, name in node.get("required", ()), schemas)
        for parameter in (each for each in node.get("parameters", ()) if "schema" in each):
            _bound(parameter["schema"], parameter, parameter.get("required", False), schemas)
    schemas[ANY] = {
        "type": "object",
        "description": "A message of any type, with its fields beside `@type`.",
        "properties": {"@type": TYPE_URL},
        "required": ["@type"],
        "additionalProperties": True,
    }
    schemas[DETAIL] = _error_detail()
    schemas[STATUS]["properties"]["details"]["items"] = {"$ref": f"#/components/schemas/{DETAIL}"}


def _nodes(value: Any) -> Iterator[JsonObject]:
    """Yield every object in the document, outer ones first."""
    if isinstance(value, dict):
        yield value
        for member in list(value.values()):
            yield from _nodes(member)
    elif isinstance(value, list):
        for member in value:
            yield from _nodes(member)


def _without_one_of(schema: JsonObject) -> None:
    """Replace the plugin's encoding of a `oneof` by a sentence. Its branches, one of them `not`, become classes that
    have only some of the fields, or match several at once."""
    branches = schema.get("oneOf", ())
    if branches and "not" in branches[0]:
        del schema["oneOf"]
        names = ", ".join(f"`{branch['required'][0]}`" for branch in branches[1:])
        schema["description"] = f"{schema.get('description', '')} At most one of these is set: {names}.".strip()


def _share_any(schema: JsonObject) -> None:
    """Replace a copy of Any by a reference to the one schema. A description beside it stays."""
    if schema.get("additionalProperties") is True and list(schema.get("properties", ())) == ["@type"]:
        description = schema.get("description")
        schema.clear()
        schema["$ref"] = f"#/components/schemas/{ANY}"
        if description:
            schema["description"] = description


def _bound(schema: JsonObject, described: JsonObject, required: bool, schemas: JsonObject) -> None:
    """Add the bounds that the description states. An optional text may also be empty, which means that it is unset."""
    text = _followed(" ".join(described.get("description", "").split()), schemas)
    kind = schema.get("type")
    if kind == "string" and "format" not in schema:
        if required:
            schema["minLength"] = 1
        if found := _CHARACTERS.search(text):
            schema["maxLength"] = _number(found[2])
            if required and found[1]:
                schema["minLength"] = int(found[1])
        if found := _NAME.search(text):
            schema |= {"minLength": int(found[1]), "maxLength": int(found[2]), "pattern": _PATTERNS[found[3]]}
    elif kind == "integer" and "Zero means" in text:
        schema["minimum"] = 0  # a larger page size than the largest is taken for the largest (AIP-158)
    elif kind == "integer" and (found := _NUMBERS.search(text)):
        schema |= {"minimum": int(found[1]), "maximum": int(found[2])}
    elif kind == "array" and (found := _ITEMS.search(text)):
        schema |= {"minItems": int(found[1]), "maxItems": _number(found[2])}


def _followed(text: str, schemas: JsonObject) -> str:
    """Return the text, and the description that it refers to with `see Message.field`."""
    found = _REFERENCE.search(text)
    if found is None:
        return text
    schema = next(schema for name, schema in schemas.items() if name.rpartition(".")[2] == found[1])
    first, *others = found[2].split("_")
    return f"{text} {schema['properties'][first + ''.join(map(str.title, others))]['description']}"


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _error_detail() -> JsonObject:
    """Return one schema with the fields of every message that our errors carry. Generators make one class of it; a
    choice between schemas by `@type` they read differently, or not at all."""
    properties: JsonObject = {"@type": TYPE_URL}
    for name in DETAILS:
        _merge(properties, _properties(error_details_pb2.DESCRIPTOR.message_types_by_name[name]))
    messages = ", ".join(f"`{name}`" for name in DETAILS)
    return {
        "type": "object",
        "description": f"A detail of an error. `@type` says which message of google.rpc it is, and so which fields are "
        f"set: {messages}. Clients ignore other types.",
        "properties": properties,
        "required": ["@type"],
        "additionalProperties": True,
    }


def _merge(properties: JsonObject, more: JsonObject) -> None:
    for name, schema in more.items():
        if name in properties and "items" in schema:
            _merge(properties[name]["items"]["properties"], schema["items"]["properties"])
        else:
            properties.setdefault(name, schema)


def _properties(message: Descriptor) -> JsonObject:
    return {field.json_name: _schema(field) for field in message.fields}


def _schema(field: FieldDescriptor) -> JsonObject:
    """Return the schema of a field of the error details, in proto3 JSON."""
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if message is None:
        schema: JsonObject = {"type": "string"}
    elif message.full_name == "google.protobuf.Duration":
        schema = {"type": "string", "description": f"{field.name} is a duration in seconds, such as `1.5s`."}
    else:
        schema = {"type": "object", "properties": _properties(message)}
    return {"type": "array", "items": schema} if field.is_repeated else schema
