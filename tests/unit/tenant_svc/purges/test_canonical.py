"""JSON in one form: that of RFC 8785, in its examples and by its rules, and nothing that readers read differently."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantmesh.tenant_svc.purges.canonical import NotCanonical, canonical, parsed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_the_example_of_the_rfc_without_its_numbers() -> None:
    value = {"string": '€$\u000f\nA\'B"\\\\"/', "literals": [None, True, False]}
    expected = '{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    assert canonical(value) == expected.encode()


def test_names_are_sorted_by_utf_16() -> None:
    """The order of RFC 8785, section 3.2.3: a character beyond the first plane comes before some within it."""
    names = ["€", "\r", "\ufb33", "1", "\U0001f600", "\x80", "ö"]
    written = canonical(dict.fromkeys(names, 0)).decode()
    assert list(json.loads(written)) == ["\r", "1", "\x80", "ö", "€", "\U0001f600", "\ufb33"]


@given(VALUES)
def test_what_is_written_is_read_and_has_one_form(value: Any) -> None:
    text = canonical(value)
    assert parsed(text) == value
    assert canonical(json.loads(text)) == text


@given(st.dictionaries(st.text(), st.integers(0, 9), min_size=2))
def test_the_order_of_names_makes_no_difference(value: dict[str, int]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@pytest.mark.parametrize(
    "value",
    [1.0, 1e300, float("nan"), 2**53, -(2**53), "\ud800", {"\udfff": 1}, {1: 2}, b"bytes", {"deep": {1}}, (1, 2)],
    ids=repr,
)
def test_what_readers_may_read_differently_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical(value)


def test_a_deep_value_is_refused_and_does_not_end_the_program() -> None:
    value: Any = []
    for _ in range(40):
        value = [value]
    with pytest.raises(NotCanonical, match="deeper"):
        canonical(value)
    with pytest.raises(NotCanonical):
        parsed(b"[" * 100_000)


@pytest.mark.parametrize(
    "text",
    [
        b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1,"a":1}', b"1.0", b"1e3", b"-0", b'"\\u0041"', b'"\\/"', b' 1', b"1 ",
        b'{"a":1', b"", b"\xff", b"NaN", b"[1,]", b"\xef\xbb\xbf1", b"18014398509481984",
    ],
    ids=repr,
)  # fmt: skip
def test_another_form_is_refused(text: bytes) -> None:
    with pytest.raises(NotCanonical):
        parsed(text)
