"""Users and sessions on PostgreSQL: what is kept, for whom, and under parallel use."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from tenantmesh.auth_svc.accounts import repository as users
from tenantmesh.auth_svc.accounts.user import NewAccount, PasswordCredential, User, UserId
from tenantmesh.auth_svc.sessions import repository as sessions
from tenantmesh.auth_svc.sessions.session import Session, SessionLifetimes, SpentToken
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId, TenantRecord
from tenantmesh.runtime.database import connect
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import as_superuser
from tests.integration.auth_svc.stand_in import new_tenant

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LIFETIMES = SessionLifetimes()
ALICE = "alice@example.com"


def account(tenant: TenantRecord, email: str = ALICE, password_hash: str = "hash") -> NewAccount:
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
        expire_time=NOW + LIFETIMES.absolute,
    )
    return Session(**{**{name: getattr(session, name) for name in Session.__slots__}, **changes})


async def add(doors: Doors, new: NewAccount) -> bool:
    async with doors.tenant(new.user.tenant_id) as connection:
        return await users.add(connection, new)


async def by_id(doors: Doors, tenant_id: TenantId, user_id: UserId) -> User | None:
    async with doors.tenant(tenant_id, read_only=True) as connection:
        return await users.by_id(connection, tenant_id, user_id)


async def credential(doors: Doors, tenant_id: TenantId) -> PasswordCredential | None:
    async with doors.tenant(tenant_id, read_only=True) as connection:
        return await users.credential(connection, tenant_id, ALICE)


async def begin(doors: Doors, session: Session) -> Session:
    async with doors.tenant(session.tenant_id) as connection:
        await sessions.add(connection, session)
    return session


async def held(doors: Doors, tenant_id: TenantId, session_id: uuid.UUID) -> tuple[Session, User] | None:
    async with doors.tenant(tenant_id) as connection:
        return await sessions.hold(connection, tenant_id, session_id)


async def test_a_user_comes_back_as_it_was_stored(doors: Doors, tenant: TenantRecord) -> None:
    new = account(tenant)
    assert await add(doors, new)
    assert await by_id(doors, tenant.id, new.user.id) == new.user
    assert await credential(doors, tenant.id) == PasswordCredential(new.user, "hash")


async def test_the_first_account_of_an_address_stays_as_it_is(doors: Doors, tenant: TenantRecord) -> None:
    first, second = account(tenant), account(tenant, password_hash="of somebody else")
    assert await add(doors, first)
    assert not await add(doors, second)
    assert await credential(doors, tenant.id) == PasswordCredential(first.user, "hash")
    assert await by_id(doors, tenant.id, second.user.id) is None


async def test_parallel_registrations_of_an_address_make_one_account(
    doors: Doors, tenant: TenantRecord, postgres: WorkerDatabase
) -> None:
    added = await asyncio.gather(*(add(doors, account(tenant, password_hash=f"hash {n}")) for n in range(20)))
    rows = await as_superuser(postgres, "SELECT user_id FROM auth.users WHERE tenant_id = $1", tenant.id)
    assert added.count(True) == len(rows) == 1


async def test_registering_a_known_address_writes_as_much_as_an_unknown_one(
    doors: Doors, tenant: TenantRecord, postgres: WorkerDatabase
) -> None:
    """What makes the answer wait for the disk in both cases: the row is written, the transaction has an id."""
    await add(doors, account(tenant))
    version = "SELECT xmin::text AS version FROM auth.users WHERE tenant_id = $1"
    before = await as_superuser(postgres, version, tenant.id)
    await add(doors, account(tenant))
    assert await as_superuser(postgres, version, tenant.id) != before


async def test_the_same_address_in_two_tenants_is_two_people(doors: Doors) -> None:
    here, there = new_tenant(), new_tenant()
    mine, theirs = account(here), account(there, password_hash="another")
    await add(doors, mine)
    await add(doors, theirs)
    assert await credential(doors, here.id) == PasswordCredential(mine.user, "hash")
    assert await credential(doors, there.id) == PasswordCredential(theirs.user, "another")
    assert await by_id(doors, here.id, theirs.user.id) is None


async def test_a_hash_is_replaced_only_if_it_is_still_the_one_that_was_checked(
    doors: Doors, tenant: TenantRecord
) -> None:
    new = account(tenant)
    await add(doors, new)
    for checked, stored in (("stale", "hash"), ("hash", "newer")):
        async with doors.tenant(tenant.id) as connection:
            await users.replace_hash(connection, PasswordCredential(new.user, checked), "newer")
        assert await credential(doors, tenant.id) == PasswordCredential(new.user, stored)


async def test_row_security_hides_other_tenants_even_from_queries_without_a_predicate(
    doors: Doors, postgres: WorkerDatabase
) -> None:
    here, there = new_tenant(), new_tenant()
    mine, theirs = account(here), account(there)
    for each in (mine, theirs):
        await add(doors, each)
        await begin(doors, session_of(each.user))
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
    assert await by_id(doors, there.id, theirs.user.id) == theirs.user


async def test_a_session_of_one_tenant_can_not_belong_to_a_user_of_another(doors: Doors) -> None:
    here, there = new_tenant(), new_tenant()
    theirs = account(there)
    await add(doors, theirs)
    with pytest.raises(Exception, match="sessions_user_fkey"):
        await begin(doors, session_of(theirs.user, tenant_id=here.id))


async def test_a_session_comes_back_as_it_was_stored_and_changed(doors: Doors, tenant: TenantRecord) -> None:
    new = account(tenant)
    await add(doors, new)
    session = await begin(doors, session_of(new.user))
    changed = session.rotated(b"second".ljust(32), b"\x00sealed\xff", NOW + timedelta(seconds=1), LIFETIMES)
    async with doors.tenant(tenant.id) as connection:
        assert await sessions.hold(connection, tenant.id, session.id) == (session, new.user)
        await sessions.save(connection, changed)
    found = await held(doors, tenant.id, session.id)
    assert found is not None
    assert found[0] == changed
    assert found[0].spent == (SpentToken(session.digest, NOW + timedelta(seconds=1), b"\x00sealed\xff"),)
    async with doors.tenant(tenant.id, read_only=True) as connection:
        assert await sessions.by_id(connection, tenant.id, session.id) == changed


async def test_what_was_saved_before_an_error_is_not_kept(doors: Doors, tenant: TenantRecord) -> None:
    new = account(tenant)
    await add(doors, new)
    session = await begin(doors, session_of(new.user))

    async def save_and_fail() -> None:
        async with doors.tenant(tenant.id) as connection:
            await sessions.hold(connection, tenant.id, session.id)
            await sessions.save(connection, session.revoked("test", NOW))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await save_and_fail()
    assert await held(doors, tenant.id, session.id) == (session, new.user)


async def test_one_at_a_time_holds_a_session(doors: Doors, tenant: TenantRecord) -> None:
    new = account(tenant)
    await add(doors, new)
    session = await begin(doors, session_of(new.user))
    inside = 0

    async def hold() -> None:
        nonlocal inside
        async with doors.tenant(tenant.id) as connection:
            await sessions.hold(connection, tenant.id, session.id)
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(hold() for _ in range(8)))


async def test_a_session_of_another_tenant_does_not_exist(doors: Doors) -> None:
    here, there = new_tenant(), new_tenant()
    theirs = account(there)
    await add(doors, theirs)
    session = await begin(doors, session_of(theirs.user))
    assert await held(doors, here.id, session.id) is None
    assert await held(doors, there.id, session.id) == (session, theirs.user)
    async with doors.tenant(here.id, read_only=True) as connection:
        assert await sessions.by_id(connection, here.id, session.id) is None


async def test_the_same_users_ended_sessions_alone_are_deleted(
    doors: Doors, tenant: TenantRecord, postgres: WorkerDatabase
) -> None:
    alice, bob = account(tenant), account(tenant, "bob@example.com")
    for each in (alice, bob):
        await add(doors, each)
    idle = session_of(alice.user, use_time=NOW - LIFETIMES.idle)
    over = session_of(alice.user, expire_time=NOW)
    alive = session_of(alice.user)
    revoked = session_of(alice.user, revoke_time=NOW, revoke_reason="reuse")
    of_bob = session_of(bob.user, expire_time=NOW)
    for session in (of_bob, revoked, alive, over, idle):
        await begin(doors, session)
    async with doors.tenant(tenant.id) as connection:
        await sessions.delete_ended(connection, alice.user, NOW, NOW - LIFETIMES.idle)
    rows = await as_superuser(postgres, "SELECT session_id FROM auth.sessions WHERE tenant_id = $1", tenant.id)
    assert {row["session_id"] for row in rows} == {of_bob.id, revoked.id, alive.id}
