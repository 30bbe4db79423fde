"""Metadata that a well-behaved client does not send."""

from __future__ import annotations

import pytest

from tenantmesh.interceptors.errors import InvalidArgument, ResourceExhausted
from tenantmesh.interceptors.links.metadata_hygiene import MetadataHygiene
from tests.unit.interceptors.calls import call


@pytest.mark.parametrize("value", ["a\r\nx-role: admin", "a\x00b", "a\tb", "caf\u00e9", "\x7f"])
def test_control_characters_are_refused(value: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        MetadataHygiene().enter(call(("x-note", value)))
    assert caught.value.reason == "INVALID_METADATA"


def test_binary_metadata_may_hold_any_bytes() -> None:
    assert MetadataHygiene().enter(call(("x-note-bin", b"\x00\xff"))) is None


def test_metadata_is_bounded() -> None:
    with pytest.raises(ResourceExhausted):
        MetadataHygiene().enter(call(("x-note", "x" * 8200)))
