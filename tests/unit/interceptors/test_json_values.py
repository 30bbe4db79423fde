"""JSON values of messages."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from tenantmesh.interceptors.json_values import json_of, message_bytes

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(TEXTS, inner, max_size=10),
    max_leaves=60,
)


@given(VALUES)
def test_the_size_of_a_value_is_that_of_its_message(value: Any) -> None:
    message = json_format.ParseDict(value, struct_pb2.Value())
    assert message_bytes(value) == message.ByteSize()
    assert json_of(message) == value


def test_the_size_of_large_values_is_that_of_their_messages() -> None:
    values: list[Any] = [[1] * 20_000, "x" * 3_000_000, {"name": ["é" * 127, "é" * 128, [], {}]}]
    for value in values:
        assert message_bytes(value) == json_format.ParseDict(value, struct_pb2.Value()).ByteSize()
