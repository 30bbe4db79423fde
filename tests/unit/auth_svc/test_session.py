"""The rules of a session and of its refresh tokens."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tenantmesh.auth_svc.sessions.session import Session, SessionLifetimes
from tenantmesh.interceptors.tenants import TenantId

LIFETIMES = SessionLifetimes()
NOW = datetime(2030, 1, 1, tzinfo=UTC)
FIRST, SECOND, THIRD = (name.ljust(32, b"\0") for name in (b"first", b"second", b"third"))


def begun() -> Session:
    return Session(
        id=uuid.uuid4(),
        tenant_id=TenantId(uuid.uuid4()),
        user_id=uuid.uuid4(),
        digest=FIRST,
        begin_time=NOW,
        use_time=NOW,
        expire_time=NOW + LIFETIMES.absolute,
    )


def at(**units: float) -> datetime:
    return NOW + timedelta(**units)


def test_lifetimes_are_the_agreed_ones() -> None:
    assert (LIFETIMES.idle, LIFETIMES.absolute, LIFETIMES.grace) == (
        timedelta(days=7), timedelta(days=30), timedelta(seconds=10),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("now", "ended"),
    [(at(), False), (at(days=7, seconds=-1), False), (at(days=7), True), (at(days=30), True)],
    ids=["new", "nearly idle", "idle", "expired"],
)
def test_a_session_ends_without_use(now: datetime, ended: bool) -> None:
    assert begun().has_ended(now, LIFETIMES) is ended


def test_a_session_ends_however_much_it_is_used() -> None:
    used = begun().rotated(SECOND, b"", at(days=29), LIFETIMES)
    assert not used.has_ended(at(days=30, seconds=-1), LIFETIMES)
    assert used.has_ended(at(days=30), LIFETIMES)


def test_a_revoked_session_has_ended_and_keeps_no_successor() -> None:
    revoked = begun().rotated(SECOND, b"sealed", at(), LIFETIMES).revoked("reuse", at(seconds=1))
    assert revoked.has_ended(at(seconds=1), LIFETIMES)
    assert (revoked.spent, revoked.revoke_reason, revoked.revoke_time) == ((), "reuse", at(seconds=1))


def test_an_exchanged_token_is_in_its_grace_for_ten_seconds() -> None:
    rotated = begun().rotated(SECOND, b"sealed", at(), LIFETIMES)
    assert rotated.is_current(SECOND)
    assert not rotated.is_current(FIRST)
    assert rotated.in_grace(FIRST, at(seconds=9.9), LIFETIMES)
    assert not rotated.in_grace(FIRST, at(seconds=10), LIFETIMES)
    assert not rotated.in_grace(SECOND, at(), LIFETIMES)
    assert not rotated.in_grace(THIRD, at(), LIFETIMES)


def test_a_session_keeps_its_current_token_encrypted_however_old_the_exchange_is() -> None:
    once = begun().rotated(SECOND, b"second, sealed", at(), LIFETIMES)
    assert once.sealed_current == b"second, sealed"
    twice = once.rotated(THIRD, b"third, sealed", at(days=2), LIFETIMES)
    assert twice.sealed_current == b"third, sealed"
    assert [token.digest for token in twice.spent] == [SECOND]


def test_later_exchanges_do_not_extend_a_grace() -> None:
    rotated = begun().rotated(SECOND, b"", at(), LIFETIMES).rotated(THIRD, b"", at(seconds=9), LIFETIMES)
    assert rotated.in_grace(FIRST, at(seconds=9.9), LIFETIMES)
    assert not rotated.in_grace(FIRST, at(seconds=10), LIFETIMES)
    assert rotated.in_grace(SECOND, at(seconds=18.9), LIFETIMES)


def test_tokens_are_forgotten_after_their_grace() -> None:
    first = begun().rotated(SECOND, b"one", at(), LIFETIMES)
    soon = first.rotated(THIRD, b"two", at(seconds=9), LIFETIMES)
    late = first.rotated(THIRD, b"two", at(seconds=10), LIFETIMES)
    assert [token.digest for token in soon.spent] == [FIRST, SECOND]
    assert [token.digest for token in late.spent] == [SECOND]
