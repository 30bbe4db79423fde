"""Registering, and knowing who one is."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from pydantic import SecretStr

from tenantmesh.auth_svc.accounts.accounts import Accounts
from tenantmesh.auth_svc.accounts.user import UserId
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.schema import OUTAGE
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import InvalidArgument, ResourceExhausted, Unauthenticated, Unavailable
from tenantmesh.interceptors.tenants import TenantId, TenantRecord
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.settings import DatabaseSettings
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import as_superuser
from tests.integration.auth_svc.world import ALICE, RULES, WatchingHasher, World, running
from tests.passwords import OTHER_PASSWORD, CountingHasher


async def users(postgres: WorkerDatabase, tenant: TenantRecord) -> list[dict[str, Any]]:
    return await as_superuser(postgres, "SELECT * FROM auth.users WHERE tenant_id = $1 ORDER BY email", tenant.id)


async def test_a_person_who_registers_is_a_member_named_by_the_address(world: World, postgres: WorkerDatabase) -> None:
    await world.register("Alice@Example.com")
    (row,) = await users(postgres, world.acme)
    assert row["email_normalised"] == ALICE
    assert (row["email"], row["display_name"]) == ("Alice@Example.com", "Alice")
    assert (row["roles"], row["epoch"], row["create_time"]) == (["member"], 0, world.clock.now)
    assert row["user_id"].version == 7
    assert row["password_hash"].startswith("$argon2id$")


async def test_registering_twice_costs_the_same_and_changes_nothing(world: World, postgres: WorkerDatabase) -> None:
    assert isinstance(world.hasher, CountingHasher)
    before = world.hasher.work
    await world.register(ALICE, name="Alice")
    first, before, stored = world.hasher.work - before, world.hasher.work, await users(postgres, world.acme)
    await world.register("ALICE@example.com", OTHER_PASSWORD, name="Mallory")
    assert world.hasher.work - before == first == 1
    assert await users(postgres, world.acme) == stored


async def test_the_same_address_in_two_tenants_is_two_people(world: World, postgres: WorkerDatabase) -> None:
    umbrella = world.tenants.add()
    for tenant in (world.acme, umbrella):
        await world.register(tenant=tenant)
    (here,), (there,) = await users(postgres, world.acme), await users(postgres, umbrella)
    assert here["user_id"] != there["user_id"]


async def test_what_breaks_a_rule_is_neither_hashed_nor_stored(world: World, postgres: WorkerDatabase) -> None:
    assert isinstance(world.hasher, CountingHasher)
    before, opened = world.hasher.work, world.doors.opened
    with pytest.raises(InvalidArgument) as refused:
        await world.register("nonsense", "short secret", name="x" * 201)
    assert [violation.field for violation in refused.value.violations] == ["email", "password", "display_name"]
    assert (world.hasher.work, world.doors.opened) == (before, opened)


async def test_a_full_tenant_refuses_known_and_unknown_addresses_alike(world: World, postgres: WorkerDatabase) -> None:
    await world.register(ALICE, limit=1)
    stored, refusals = await users(postgres, world.acme), []
    for email in (ALICE, "bob@example.com"):
        with pytest.raises(ResourceExhausted) as refused:
            await world.register(email, OTHER_PASSWORD, limit=1)
        refusals.append((refused.value.message, refused.value.metadata))
    assert refusals[0] == refusals[1]
    assert (await users(postgres, world.acme), len(world.changes)) == (stored, 1)
    await world.register("bob@example.com", OTHER_PASSWORD, limit=2)
    assert len(world.changes) == 2


async def test_no_transaction_is_open_while_a_password_is_hashed(world: World) -> None:
    hasher = WatchingHasher(world.doors)
    async with running(World(world.doors, world.kek, hasher)) as watched:
        hasher.open_transactions.clear()
        await watched.register()
    assert hasher.open_transactions == [0]
    assert world.doors.opened == 1


async def test_somebody_knows_who_they_are_in_their_own_tenant_only(world: World, postgres: WorkerDatabase) -> None:
    await world.register()
    (row,) = await users(postgres, world.acme)
    mine = UserId(row["user_id"])
    me = await world.accounts.me(world.acme.id, mine)
    assert (me.id, me.tenant_id, me.email, me.roles) == (mine, world.acme.id, ALICE, ("member",))
    for tenant_id, user_id in ((world.tenants.add().id, mine), (world.acme.id, UserId(uuid.uuid4()))):
        with pytest.raises(Unauthenticated) as refused:
            await world.accounts.me(tenant_id, user_id)
        assert refused.value.reason == "CREDENTIALS_INVALID"


async def test_a_database_that_can_not_be_reached_is_unavailable_and_says_nothing_of_itself() -> None:
    away = Database(
        DatabaseSettings(url=SecretStr("postgresql://auth_app:s3cret@127.0.0.1:1/tenantmesh")), schema="auth"
    )
    hashing = Hashing(CountingHasher())
    accounts = Accounts(Doors(away, OUTAGE), RULES, hashing)
    with pytest.raises(Unavailable) as refused:
        await accounts.me(TenantId(uuid.uuid4()), UserId(uuid.uuid4()))
    assert refused.value.reason == "CREDENTIALS_UNVERIFIABLE"
    assert "s3cret" not in refused.value.message
    assert "127.0.0.1" not in refused.value.message
    await hashing.close()
    await away.close()
