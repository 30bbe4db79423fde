"""JSON values of messages, so that a STATIC feature has the same value in every process."""

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2

__all__ = ["json_of", "message_bytes"]

_EXACT = 2**53
"""Up to this magnitude a JSON number holds every integer exactly."""


def message_bytes(value: Any) -> int:
    """Return the size of the JSON value as a message, without making the message: that takes ten times as long."""
    if isinstance(value, str):
        return _field(len(value.encode()))
    if isinstance(value, list):
        return _field(sum(_field(message_bytes(item)) for item in value))
    if isinstance(value, dict):
        entries = ((_field(len(name.encode())), _field(message_bytes(member))) for name, member in value.items())
        return _field(sum(_field(name + member) for name, member in entries))
    return 2 if value is None or isinstance(value, bool) else 9


def _field(size: int) -> int:
    """Return the size of a field with that many bytes: its tag, its length, and they."""
    return 1 + max(1, -(-size.bit_length() // 7)) + size


def json_of(value: struct_pb2.Value) -> Any:
    """Return the JSON value. Integers become int again: the message holds them as floating-point numbers."""
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= _EXACT else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return {name: json_of(member) for name, member in value.struct_value.fields.items()}
        case "list_value":
            return [json_of(item) for item in value.list_value.values]
    return None
