"""Set-up links: their states, their secrets, and the rules for new ones."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from tenantmesh.chassis.moments import time_span
from tenantmesh.interceptors.errors import InvalidArgument
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.setup_links.mapping import intent_of
from tenantmesh.tenant_svc.setup_links.setup_link import LinkState, LinkToken, NewSetupLink, SetupIntent, SetupLink

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIVE = timedelta(minutes=5)
LINK = SetupLink(
    TenantId(uuid.uuid4()), uuid.uuid4(), SetupIntent.LOGIN_HOST, "", "key-1", NOW, NOW + FIVE, None, None, "", NOW
)


def test_a_link_is_open_until_it_is_used_revoked_or_expires() -> None:
    assert LINK.state is LinkState.OPEN
    assert replace(LINK, read_time=NOW + FIVE - timedelta(microseconds=1)).state is LinkState.OPEN
    assert replace(LINK, read_time=NOW + FIVE).state is LinkState.EXPIRED
    later = NOW + timedelta(days=1)
    assert replace(LINK, use_time=NOW, read_time=later).state is LinkState.USED
    assert replace(LINK, revoke_time=NOW, read_time=later).state is LinkState.REVOKED


def test_a_change_names_the_link_and_its_maker() -> None:
    assert LINK.acting == f"through link {LINK.id} by key-1"


def test_tokens_are_long_different_and_hashed_whole() -> None:
    tokens = [LinkToken.new() for _ in range(100)]
    assert len({token.text for token in tokens}) == len({token.hash for token in tokens}) == 100
    for token in tokens:
        assert LinkToken.parse(token.text) == token
        assert len(token.hash) == 32
        assert token.text.encode() not in token.hash


@pytest.mark.parametrize(
    "text", ["", "tml_", "tmk_" + "A" * 43, "tml_" + "A" * 42, "tml_" + "A" * 44, "A" * 10_000, "\x00"]
)
def test_other_texts_are_no_tokens(text: str) -> None:
    assert LinkToken.parse(text) is None


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"intent": None}, {"intent"}),
        ({"note": "x" * 501}, {"note"}),
        ({"note": "two\nlines"}, {"note"}),
        ({"lifetime": timedelta(0)}, {"lifetime"}),
        ({"lifetime": timedelta(hours=1, microseconds=1)}, {"lifetime"}),
        ({"intent": None, "note": "\x00", "lifetime": -FIVE}, {"intent", "note", "lifetime"}),
    ],
)
def test_every_field_at_fault_is_named(fields: dict[str, object], names: set[str]) -> None:
    asked: dict[str, Any] = {"intent": SetupIntent.LOGIN_HOST, "note": "", "lifetime": FIVE, **fields}
    with pytest.raises(InvalidArgument) as caught:
        NewSetupLink.checked(**asked)
    assert {violation.field for violation in caught.value.violations} == names


@pytest.mark.parametrize("seconds", [2**63 - 1, -(2**63), 10**12])
def test_a_lifetime_beyond_all_times_is_refused_like_any_that_is_too_long(seconds: int) -> None:
    with pytest.raises(InvalidArgument):
        NewSetupLink.checked(intent=SetupIntent.LOGIN_HOST, note="", lifetime=time_span(Duration(seconds=seconds)))


def test_the_numbers_of_steps_that_do_not_exist_yet_are_none() -> None:
    assert [intent_of(number) for number in (0, 3, 4, 5, 99, -1)] == [None] * 6
    assert {intent_of(number) for number in (1, 2)} == set(SetupIntent)
