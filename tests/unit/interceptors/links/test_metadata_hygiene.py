"""Metadata that a well-behaved client does not send."""

from __future__ import annotations

import pytest

from tenantmesh.interceptors.errors import InvalidArgument, ResourceExhausted
from tenantmesh.interceptors.links.metadata_hygiene import MetadataHygiene
from tenantmesh.interceptors.metadata import READ
from tests.unit.interceptors.calls import call

FORBIDDEN = ["a\r\nx-role: admin", "a\x00b", "a\nb"]
UNFIT = ["a\tb", "caf\u00e9", "\x7f"]


@pytest.mark.parametrize("value", [*FORBIDDEN, *UNFIT])
@pytest.mark.parametrize("key", sorted(READ))
def test_control_characters_are_refused_in_what_the_mesh_reads(key: str, value: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        MetadataHygiene().enter(call((key, value)))
    assert caught.value.reason == "INVALID_METADATA"


@pytest.mark.parametrize("value", FORBIDDEN)
def test_what_http_forbids_is_refused_in_any_header(value: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        MetadataHygiene().enter(call(("x-note", value)))
    assert caught.value.reason == "INVALID_METADATA"


@pytest.mark.parametrize("value", UNFIT)
@pytest.mark.parametrize("key", ["cookie", "user-agent", "baggage", "tracestate", "sec-ch-ua", "x-city"])
def test_headers_that_the_mesh_does_not_read_are_left_out(key: str, value: str) -> None:
    passing = call((key, value), ("x-tenant-slug", "acme"), (key, "fine"))
    assert MetadataHygiene().enter(passing) is None
    assert passing.headers == {"x-tenant-slug": "acme"}


def test_an_internal_header_is_refused_whatever_it_holds() -> None:
    for value in ("root", "caf\u00e9"):
        with pytest.raises(InvalidArgument):
            MetadataHygiene().enter(call(("x-tenantmesh-caller", value)))


def test_what_the_mesh_ignores_counts_towards_the_size() -> None:
    with pytest.raises(ResourceExhausted):
        MetadataHygiene().enter(call(("cookie", "\u00e9" * 8200)))


def test_binary_metadata_may_hold_any_bytes() -> None:
    assert MetadataHygiene().enter(call(("x-note-bin", b"\x00\xff"))) is None


def test_metadata_is_bounded() -> None:
    with pytest.raises(ResourceExhausted):
        MetadataHygiene().enter(call(("x-note", "x" * 8200)))
