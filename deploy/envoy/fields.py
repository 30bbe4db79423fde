"""The fields of messages as a REST request names them: in JSON, or in a query. Reads descriptors only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

__all__ = ["Field", "JsonKind", "Messages", "read_messages"]

PROTOBUF = "google.protobuf."
FREE_FORM = frozenset(PROTOBUF + name for name in ("Any", "ListValue", "Struct", "Value"))
PLAIN_MESSAGES = frozenset({PROTOBUF + "Empty"})
"""Messages of protobuf's own that JSON writes as an object. It writes the others, as Timestamp, as one value."""


class JsonKind(StrEnum):
    """The form of JSON in which a field is set."""

    VALUE = "value"
    """A string, a number or a boolean."""

    OBJECT = "object"
    MAP = "map"
    """An object whose names are data."""

    ANY = "any"
    """Any JSON at all."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message."""

    name: str
    """As the proto spells it."""

    json_name: str
    kind: JsonKind
    message: str
    """The message that it holds, or that a map's values are; empty for plain values."""

    repeated: bool
    oneof: str
    """The group of which only one field can be set; empty for none."""

    @property
    def spellings(self) -> tuple[str, ...]:
        """The names under which a request may send it."""
        return tuple(dict.fromkeys((self.json_name, self.name)))


Messages = Mapping[str, tuple[Field, ...]]
"""Full name of a message → its fields."""


def read_messages(files: Iterable[descriptor_pb2.FileDescriptorProto], names: Iterable[str]) -> Messages:
    """Return the messages of these names, and those that they hold, with their fields."""
    pool = DescriptorPool()
    for file in files:
        pool.Add(file)
    messages: dict[str, tuple[Field, ...]] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in messages:
            messages[name] = tuple(map(_field, pool.FindMessageTypeByName(name).fields))
            waiting += [field.message for field in messages[name] if field.message]
    return MappingProxyType(messages)


def _field(field: FieldDescriptor) -> Field:
    kind, message = _content(field)
    group = field.containing_oneof
    # A field that is `optional` stands in a group of its own.
    oneof = group.name if group and len(group.fields) > 1 else ""
    repeated = bool(field.is_repeated) and kind is not JsonKind.MAP
    return Field(field.name, field.json_name, kind, message, repeated, oneof)


def _content(field: FieldDescriptor) -> tuple[JsonKind, str]:
    """Return the kind of a field, and the message that its JSON is made of."""
    if field.message_type is None:
        return JsonKind.VALUE, ""
    if field.message_type.GetOptions().map_entry:
        return JsonKind.MAP, _object(field.message_type.fields_by_name["value"].message_type)
    name = field.message_type.full_name
    if name in FREE_FORM:
        return JsonKind.ANY, ""
    message = _object(field.message_type)
    return (JsonKind.OBJECT, message) if message else (JsonKind.VALUE, "")


def _object(message: Descriptor | None) -> str:
    """Return the name of a message that JSON writes as an object with the names of its fields; else nothing."""
    if message is None:
        return ""
    own = message.full_name.startswith(PROTOBUF) and message.full_name not in PLAIN_MESSAGES
    return "" if own else message.full_name
