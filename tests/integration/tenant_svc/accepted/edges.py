"""Values at the edges of their types, and requests with one of them in any field."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

Path = tuple[FieldDescriptor, ...]

_FIRST, _LAST = -62_135_596_800, 253_402_300_799
_LARGEST = 2**53 - 1
_SET_BY_THE_SERVICE = {
    *("create_time", "update_time", "publish_time", "archive_time", "void_time", "delete_time", "purge_time"),
    *("suspension", "deletion", "former_slugs", "login_hosts", "primary_login_host"),
}
_DEEPEST_IN_MESSAGES = 32

wholes = st.sampled_from(
    [-(2**63), -_LARGEST, -1, 0, 1, 2, 1000, 1001, 2**31 - 1, 2**31, 2**32, _LARGEST - 1, _LARGEST, 2**53, 2**62]
) | st.integers(0, 2**63 - 1)
reals = (
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 0.001, 1e6, 1e6 + 1, 1e308, 5e-324, 2.0**53])
    | st.floats()
)
texts = st.sampled_from(
    ["", " ", "\x00", "a\x00b", "\u200b", "a\u202eb", "e\u0301" * 100, "\U0001f469\u200d\U0001f467", "x" * 200,
     "y" * 500, "z" * 4096, "\u2028", "a\nb", "\ufeff", "'; drop table x; --", "%", "-", "a_b", "\ufffd",
     "\\u0000", "*"]
) | st.text(st.characters(codec="utf-8"), max_size=40)  # fmt: skip
timestamps = st.builds(
    Timestamp,
    seconds=st.sampled_from([_FIRST - 1, _FIRST, _FIRST + 1, -1, 0, _LAST - 1, _LAST, _LAST + 1, -(2**63), 2**62])
    | st.integers(_FIRST, _LAST),
    nanos=st.sampled_from([-1, 0, 1, 999, 1000, 999_998_999, 999_999_000, 999_999_900, 999_999_999, 10**9, 2**31 - 1]),
)
durations = st.builds(
    Duration,
    seconds=st.sampled_from([-(2**62), -1, 0, 1, 60, 86_399, 86_400, 86_401, 2**62]),
    nanos=st.sampled_from([-999_999_999, -1, 0, 1, 999_999_999, 2**31 - 1]),
)
masks = st.builds(FieldMask, paths=st.lists(texts | st.sampled_from(["display_name", "unit", "rollout"]), max_size=3))


def _nested(levels: int, shape: str, leaf: Any) -> Value:
    value = inner = Value()
    for _ in range(levels):
        inner = inner.list_value.values.add() if shape == "list" else inner.struct_value.fields["a"]
    inner.MergeFrom(leaf)
    return value


def _value(number: float | None = None, text: str | None = None) -> Value:
    if number is not None:
        return Value(number_value=number)
    return Value(null_value=NULL_VALUE) if text is None else Value(string_value=text)


_leaves = st.builds(_value, number=reals) | st.builds(_value, text=texts) | st.builds(Value, bool_value=st.booleans())
_wide = st.builds(lambda fields: Value(struct_value=Struct(fields=fields)), st.dictionaries(texts, _leaves, max_size=8))
values = _leaves | _wide | st.builds(
    _nested, st.integers(0, _DEEPEST_IN_MESSAGES), st.sampled_from(["list", "object"]), _leaves
)  # fmt: skip

_OF_MESSAGE: dict[str, st.SearchStrategy[Any]] = {
    "google.protobuf.Timestamp": timestamps,
    "google.protobuf.Duration": durations,
    "google.protobuf.FieldMask": masks,
    "google.protobuf.Value": values,
}
_OF_TYPE: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: texts,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: reals,
    FieldDescriptor.TYPE_INT64: wholes.filter(lambda number: -(2**63) <= number < 2**63),
    FieldDescriptor.TYPE_INT32: wholes.map(lambda number: max(-(2**31), min(number, 2**31 - 1))),
    FieldDescriptor.TYPE_ENUM: st.integers(-1, 12),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=40) | st.sampled_from([b"{}", b"[]", b"\xff", b"\n" * 100]),
}


_INTEGERS = (-1, 0, 1, 2**31 - 1)
_AMOUNTS = (*_INTEGERS, _LARGEST, 2**53, 2**63 - 1)
FIXED: dict[object, tuple[Any, ...]] = {
    "google.protobuf.Timestamp": tuple(
        Timestamp(seconds=seconds, nanos=nanos)
        for seconds, nanos in (
            (_FIRST, 0), (_FIRST, 1000), (_LAST, 0), (_LAST, 999_998_999), (_LAST, 999_999_900), (_LAST, 999_999_999),
        )
    ),
    "google.protobuf.Value": (
        *(_nested(levels, "list", Value(bool_value=True)) for levels in (20, 21, 46, 47, 48)),
        *(_nested(levels, "object", Value(bool_value=True)) for levels in (20, 31, 32)),
        Value(number_value=1e308), Value(number_value=5e-324), Value(string_value="\x00"),
    ),
    FieldDescriptor.TYPE_INT64: _AMOUNTS,
    FieldDescriptor.TYPE_INT32: _INTEGERS,
    FieldDescriptor.TYPE_DOUBLE: (math.nan, math.inf, 0.001, 1e6, 1e308),
    FieldDescriptor.TYPE_BYTES: (b"\x00", b"\xff", b"{}", b"\n" * 1001),
    FieldDescriptor.TYPE_STRING: ("\x00", "\u200b", "\U0001f469\u200d\U0001f467", "x" * 4096),
}  # fmt: skip
"""The edges that are always tried, by the type of the field."""


def fixed(field: FieldDescriptor) -> tuple[Any, ...]:
    """The edges of the field's type that are always tried."""
    return FIXED.get(field.type if field.message_type is None else field.message_type.full_name, ())


def _is_map(field: FieldDescriptor) -> bool:
    """Entries of maps have rules of their own, which their own tests try."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def paths(message: Descriptor, before: Path = ()) -> Iterator[Path]:
    """The way to every field of a request that has a value of its own. Times that the service sets are left out."""
    for field in message.fields:
        if field.name in _SET_BY_THE_SERVICE or _is_map(field):
            continue
        here = (*before, field)
        if field.message_type is None or field.message_type.full_name in _OF_MESSAGE:
            yield here
        else:
            yield from paths(field.message_type, here)


def edges(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Values at the edges of the field's type."""
    return _OF_TYPE[field.type] if field.message_type is None else _OF_MESSAGE[field.message_type.full_name]


def put(request: Message, path: Path, value: Any) -> None:
    """Sets the field at the end of the path: of the first of several items, which is added where there is none."""
    *ways, last = path
    for way in ways:
        held = getattr(request, way.name)
        request = (held[0] if held else held.add()) if way.is_repeated else held
    if last.is_repeated:
        held = getattr(request, last.name)
        del held[:]
        held.append(value)
    elif last.message_type is not None:
        getattr(request, last.name).CopyFrom(value)
    else:
        setattr(request, last.name, value)
