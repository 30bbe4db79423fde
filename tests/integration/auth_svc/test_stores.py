"""Users and sessions on PostgreSQL: what is kept, for whom, and under parallel use."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from pydantic import SecretStr

from tenantmesh.auth_svc.accounts.accounts import Credentials, NewAccount, User, UserId
from tenantmesh.auth_svc.accounts.repository import UserRepository
from tenantmesh.auth_svc.schema import OUTAGE
from tenantmesh.auth_svc.sessions.repository import SessionRepository
from tenantmesh.auth_svc.sessions.session import Limits, Session, Spent
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tenants import TenantId, TenantRecord
from tenantmesh.runtime.database import Database, connect
from tenantmesh.runtime.settings import DatabaseSettings
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import as_superuser
from tests.integration.auth_svc.stand_in import new_tenant

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LIMITS = Limits()


@pytest.fixture(scope="module")
def users(doors: Doors) -> UserRepository:
    return UserRepository(doors)


@pytest.fixture(scope="module")
def sessions(doors: Doors) -> SessionRepository:
    return SessionRepository(doors, LIMITS)


def account(tenant: TenantRecord, email: str = "alice@example.com", password_hash: str = "hash") -> NewAccount:
    user = User(UserId(uuid.uuid4()), tenant.id, email.title(), "Alice", ("member",), 0, NOW)
    return NewAccount(user, email, password_hash)


def session_of(user: User, **changes: object) -> Session:
    session = Session(
        id=uuid.uuid4(),
        tenant_id=user.tenant_id,
        user_id=user.id,
        digest=b"first".ljust(32),
        begin_time=NOW,
        use_time=NOW,
        expire_time=NOW + LIMITS.absolute,
    )
    return Session(**{**{name: getattr(session, name) for name in Session.__slots__}, **changes})


async def test_a_user_comes_back_as_it_was_stored(users: UserRepository, tenant: TenantRecord) -> None:
    new = account(tenant)
    await users.add(new, None)
    assert await users.by_id(tenant.id, new.user.id) == new.user
    assert await users.credentials(tenant.id, "alice@example.com") == Credentials(new.user, "hash")


async def test_the_first_account_of_an_address_stays_as_it_is(users: UserRepository, tenant: TenantRecord) -> None:
    first, second = account(tenant), account(tenant, password_hash="of somebody else")
    await users.add(first, None)
    await users.add(second, None)
    assert await users.credentials(tenant.id, "alice@example.com") == Credentials(first.user, "hash")
    assert await users.by_id(tenant.id, second.user.id) is None


async def test_parallel_registrations_of_an_address_make_one_account(
    users: UserRepository, tenant: TenantRecord, postgres: WorkerDatabase
) -> None:
    await asyncio.gather(*(users.add(account(tenant, password_hash=f"hash {n}"), None) for n in range(20)))
    rows = await as_superuser(postgres, "SELECT user_id FROM auth.users WHERE tenant_id = $1", tenant.id)
    assert len(rows) == 1


async def test_registering_a_known_address_writes_as_much_as_an_unknown_one(
    users: UserRepository, tenant: TenantRecord, postgres: WorkerDatabase
) -> None:
    """What makes the answer wait for the disk in both cases: the row is written, the transaction has an id."""
    await users.add(account(tenant), None)
    version = "SELECT xmin::text AS version FROM auth.users WHERE tenant_id = $1"
    before = await as_superuser(postgres, version, tenant.id)
    await users.add(account(tenant), None)
    assert await as_superuser(postgres, version, tenant.id) != before


async def test_the_same_address_in_two_tenants_is_two_people(users: UserRepository) -> None:
    here, there = new_tenant(), new_tenant()
    mine, theirs = account(here), account(there, password_hash="another")
    await users.add(mine, None)
    await users.add(theirs, None)
    assert await users.credentials(here.id, "alice@example.com") == Credentials(mine.user, "hash")
    assert await users.credentials(there.id, "alice@example.com") == Credentials(theirs.user, "another")
    assert await users.by_id(here.id, theirs.user.id) is None


async def test_a_hash_is_replaced_only_if_it_is_still_the_one_that_was_checked(
    users: UserRepository, tenant: TenantRecord
) -> None:
    new = account(tenant)
    await users.add(new, None)
    for checked, stored in (("stale", "hash"), ("hash", "newer")):
        await users.replace_hash(Credentials(new.user, checked), "newer")
        assert await users.credentials(tenant.id, "alice@example.com") == Credentials(new.user, stored)


async def test_row_security_hides_other_tenants_even_from_queries_without_a_predicate(
    users: UserRepository, sessions: SessionRepository, postgres: WorkerDatabase
) -> None:
    here, there = new_tenant(), new_tenant()
    mine, theirs = account(here), account(there)
    for each in (mine, theirs):
        await users.add(each, None)
        await sessions.add(session_of(each.user))
    mine_only = f"SET LOCAL app.tenant_id = '{here.id}'"
    connection = await connect(postgres.url("auth_app"))
    async with connection.transaction():
        await connection.execute(mine_only)
        assert [row["user_id"] for row in await connection.fetch("SELECT user_id FROM users")] == [mine.user.id]
        assert [row["user_id"] for row in await connection.fetch("SELECT user_id FROM sessions")] == [mine.user.id]
        assert await connection.execute("UPDATE users SET display_name = 'x'") == "UPDATE 1"
        assert await connection.execute("DELETE FROM sessions") == "DELETE 1"
    await connection.execute(f"BEGIN; {mine_only}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await connection.execute("UPDATE users SET tenant_id = $1", there.id)
    await connection.execute("ROLLBACK")
    await connection.close()
    untouched = await users.by_id(there.id, theirs.user.id)
    assert untouched == theirs.user


async def test_a_session_of_one_tenant_can_not_belong_to_a_user_of_another(
    users: UserRepository, sessions: SessionRepository
) -> None:
    here, there = new_tenant(), new_tenant()
    theirs = account(there)
    await users.add(theirs, None)
    with pytest.raises(Exception, match="sessions_user_fkey"):
        await sessions.add(session_of(theirs.user, tenant_id=here.id))


async def test_a_session_comes_back_as_it_was_stored_and_changed(
    users: UserRepository, sessions: SessionRepository, tenant: TenantRecord
) -> None:
    new = account(tenant)
    await users.add(new, None)
    session = session_of(new.user)
    await sessions.add(session)
    changed = session.rotated(b"second".ljust(32), b"\x00sealed\xff", NOW + timedelta(seconds=1), LIMITS)
    async with sessions.hold(tenant.id, session.id) as held:
        assert held is not None
        assert (held.session, held.user) == (session, new.user)
        await held.save(changed)
    async with sessions.hold(tenant.id, session.id) as held:
        assert held is not None
        assert held.session == changed
        assert held.session.spent == (Spent(session.digest, NOW + timedelta(seconds=1), b"\x00sealed\xff"),)


async def test_what_was_saved_before_an_error_is_not_kept(
    users: UserRepository, sessions: SessionRepository, tenant: TenantRecord
) -> None:
    new = account(tenant)
    await users.add(new, None)
    session = session_of(new.user)
    await sessions.add(session)

    async def save_and_fail() -> None:
        async with sessions.hold(tenant.id, session.id) as held:
            assert held is not None
            await held.save(session.revoked("test", NOW))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await save_and_fail()
    async with sessions.hold(tenant.id, session.id) as held:
        assert held is not None
        assert held.session == session


async def test_one_at_a_time_holds_a_session(
    users: UserRepository, sessions: SessionRepository, tenant: TenantRecord
) -> None:
    new = account(tenant)
    await users.add(new, None)
    session = session_of(new.user)
    await sessions.add(session)
    inside = 0

    async def hold() -> None:
        nonlocal inside
        async with sessions.hold(tenant.id, session.id):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(hold() for _ in range(8)))


async def test_a_session_of_another_tenant_does_not_exist(users: UserRepository, sessions: SessionRepository) -> None:
    here, there = new_tenant(), new_tenant()
    theirs = account(there)
    await users.add(theirs, None)
    session = session_of(theirs.user, begin_time=datetime.now(UTC), use_time=datetime.now(UTC))
    await sessions.add(session)
    async with sessions.hold(here.id, session.id) as held:
        assert held is None
    assert not await sessions.is_live(here.id, session.id)
    assert await sessions.is_live(there.id, session.id)


async def test_only_a_session_that_has_not_ended_is_live(
    users: UserRepository, sessions: SessionRepository, tenant: TenantRecord
) -> None:
    new, now = account(tenant), datetime.now(UTC)
    await users.add(new, None)
    good = session_of(new.user, begin_time=now, use_time=now, expire_time=now + timedelta(days=1))
    ended = session_of(new.user, begin_time=now, use_time=now, revoke_time=now, revoke_reason="test")
    for session in (good, ended):
        await sessions.add(session)
    assert await sessions.is_live(tenant.id, good.id)
    assert not await sessions.is_live(tenant.id, ended.id)
    assert not await sessions.is_live(tenant.id, uuid.uuid4())


async def test_signing_in_forgets_the_same_users_dead_sessions_only(
    users: UserRepository, sessions: SessionRepository, tenant: TenantRecord, postgres: WorkerDatabase
) -> None:
    alice, bob = account(tenant), account(tenant, "bob@example.com")
    for each in (alice, bob):
        await users.add(each, None)
    idle = session_of(alice.user, use_time=NOW - LIMITS.idle)
    over = session_of(alice.user, expire_time=NOW)
    alive = session_of(alice.user)
    revoked = session_of(alice.user, revoke_time=NOW, revoke_reason="reuse")
    of_bob = session_of(bob.user, expire_time=NOW)
    for session in (of_bob, revoked, alive, over, idle):
        await sessions.add(session)
    await sessions.add(latest := session_of(alice.user))
    rows = await as_superuser(postgres, "SELECT session_id FROM auth.sessions WHERE tenant_id = $1", tenant.id)
    assert {row["session_id"] for row in rows} == {of_bob.id, revoked.id, alive.id, latest.id}


async def test_a_database_that_can_not_be_reached_is_unavailable_and_says_nothing_of_itself() -> None:
    away = Database(
        DatabaseSettings(url=SecretStr("postgresql://auth_app:s3cret@127.0.0.1:1/tenantmesh")), schema="auth"
    )
    with pytest.raises(Unavailable) as refused:
        await UserRepository(Doors(away, OUTAGE)).by_id(TenantId(uuid.uuid4()), UserId(uuid.uuid4()))
    assert refused.value.reason == "CREDENTIALS_UNVERIFIABLE"
    assert "s3cret" not in refused.value.message
    assert "127.0.0.1" not in refused.value.message
    await away.close()
