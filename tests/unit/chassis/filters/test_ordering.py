"""Orders of lists: what is refused and how, and page tokens that hold a place in one order."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from tenantmesh.chassis.filters.places import SortPlace, place_tokens
from tenantmesh.chassis.opaque import pack
from tenantmesh.interceptors.errors import InvalidArgument
from tests.integration.chassis.things import ORDERS

KINDS = (str, int, datetime, uuid.UUID)
TOKENS = place_tokens(b"tm.test", KINDS)
ID = uuid.UUID("0190a1b2-0000-7000-8000-000000000001")
TIME = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [("", ""), ("  ", ""), ("slug", "slug"), ("slug asc", "slug"), (" made  desc,slug ", "made desc, slug")],
)
def test_an_order_has_one_spelling(text: str, spelled: str) -> None:
    assert ORDERS.ordered(text).text == spelled


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", "column 1, at “nothing”: there is no order by this; order by slug, title, note, state, size, made"),
        ("slug,", "column 6, at the end: there is no order by this"),
        ("slug,,made", "column 6, at “,made”: there is no order by this"),
        ("slug down", "column 6, at “down”: a direction is asc or desc"),
        ("slug DESC", "column 6, at “DESC”: a direction is asc or desc"),
        ("slug desc made", "column 11, at “made”: a comma is missing here"),
        ("slug, made, slug desc", "column 13, at “slug desc”: the list is in the order of this field already"),
        ("slug\u202e", "column 5, at “\\u202e”: control characters"),
        ("x" * 513, "has 513 characters; write at most 512"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ORDERS.ordered(text)
    (violation,) = caught.value.violations
    assert violation.field == "order_by"
    assert violation.description.startswith(says)


@pytest.mark.parametrize(
    "place",
    [
        ("é", 2**63 - 1, TIME, ID),
        ("", -1, datetime(1, 1, 1, tzinfo=UTC), ID),
        (None, None, None, ID),
        ("a" * 800, 0, TIME, ID),
    ],
)
def test_a_place_comes_back(place: SortPlace) -> None:
    assert TOKENS.open(TOKENS.token(place)) == place


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{}", b"[]", b'["a",1,2]', b'["a",1,2,"x"]', b"\xff", b"[" * 2000, b"null",
        f'["a",1,2,"{ID}",3]'.encode(),
        f'["a", 1,2,"{ID}"]'.encode(),
        f'["a\\u0000",1,2,"{ID}"]'.encode(),
        f'["\\ud800",1,2,"{ID}"]'.encode(),
        f'["a",{2**63},2,"{ID}"]'.encode(),
        f'["a",1.5,2,"{ID}"]'.encode(),
        f'["a",true,2,"{ID}"]'.encode(),
        f'["a",1,{10**30},"{ID}"]'.encode(),
        f'["a",1,1.5,"{ID}"]'.encode(),
        f'["a",1,"x","{ID}"]'.encode(),
        f'["a",1,NaN,"{ID}"]'.encode(),
        f'["a",1,2,"{str(ID).upper()}"]'.encode(),
        b'["a",1,2,7]', b'["a",1,2,[]]', f'[7,1,2,"{ID}"]'.encode(),
    ],
)  # fmt: skip
def test_a_forged_place_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidArgument, match="page_token: must be the next_page_token of the page before"):
        TOKENS.open(pack(b"tm.test", payload))
