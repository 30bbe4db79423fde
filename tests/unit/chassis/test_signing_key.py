"""When a signing key is made, published and retired."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tenantmesh.chassis.signing.signing_key import KeySchedule, SigningKey

SCHEDULE = KeySchedule(timedelta(days=30), timedelta(minutes=10), valid_for=timedelta(seconds=300))
NOW = datetime(2030, 1, 1, tzinfo=UTC)
DUE = timedelta(days=30, minutes=-10)
"""The age of the newest key at which the next one is made."""


def key(kid: str, activate_time: datetime) -> SigningKey:
    return SigningKey(kid, bytes(32), b"sealed", activate_time, activate_time)


def kids(keys: list[SigningKey], now: datetime) -> list[str]:
    return [each.kid for each in SCHEDULE.published(keys, now)]


@pytest.mark.parametrize(("published_before", "cached"), [(10, 8), (3, 1), (2, 0), (1, 0)])
def test_a_cache_has_every_key_before_the_key_signs(published_before: int, cached: int) -> None:
    schedule = KeySchedule(publish_before=timedelta(minutes=published_before))
    assert schedule.cached_for == timedelta(minutes=cached)


def test_the_first_key_signs_at_once() -> None:
    assert SCHEDULE.next_activation([], NOW) == NOW


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(), None),
        (DUE - timedelta(seconds=1), None),
        (DUE, NOW + timedelta(days=30)),
        (timedelta(days=30, minutes=-1), NOW + timedelta(days=30, minutes=9)),
        (timedelta(days=90), NOW + timedelta(days=90, minutes=10)),
    ],
    ids=["new", "not yet", "due", "late", "very late"],
)
def test_the_next_key_is_published_before_it_signs(age: timedelta, expected: datetime | None) -> None:
    older = key("older", NOW - timedelta(days=30))
    assert SCHEDULE.next_activation([key("newest", NOW), older], NOW + age) == expected


def test_a_key_is_retired_once_its_last_token_has_expired() -> None:
    old, new = key("old", NOW), key("new", NOW + timedelta(days=30))
    last_token = new.activate_time + timedelta(seconds=300)
    for now in (NOW, new.activate_time, last_token, last_token + timedelta(seconds=59)):
        assert kids([new, old], now) == ["old", "new"]
    assert kids([new, old], last_token + timedelta(seconds=60)) == ["new"]


def test_the_newest_key_is_never_retired() -> None:
    assert kids([key("only", NOW)], NOW + timedelta(days=900)) == ["only"]
    assert kids([], NOW) == []


def test_a_key_whose_signatures_are_good_for_ever_is_never_retired() -> None:
    keys = [key("old", NOW), key("new", NOW + timedelta(days=30))]
    assert [each.kid for each in KeySchedule().published(keys, NOW + timedelta(days=9000))] == ["old", "new"]
