"""What auth_svc holds of a tenant: counted by the database's own catalog, destroyed in bounded steps, and never while
the tenant is served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import grpc
import pytest

from tenantmesh.auth.v1 import auth_service_pb2
from tenantmesh.auth.v1 import tenant_data_service_pb2 as pb
from tenantmesh.auth.v1.tenant_data_service_pb2_grpc import TenantDataServiceStub
from tenantmesh.auth_svc.api_keys.bootstrap import create_key
from tenantmesh.auth_svc.capabilities import PARTS
from tenantmesh.auth_svc.schema import OUTAGE, SCHEMA
from tenantmesh.auth_svc.tables import metadata
from tenantmesh.auth_svc.tenant_data.tables import purged_tenants
from tenantmesh.auth_svc.tenant_data.tenant_data import TenantData
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.erasure import ErasureDoor
from tenantmesh.chassis.tenant_rows import TenantRows
from tenantmesh.interceptors.backends.grpc.answers import reason_of
from tenantmesh.interceptors.backends.memory.sources import MemoryTenantSource
from tenantmesh.interceptors.errors import FailedPrecondition
from tenantmesh.interceptors.tenants import TenantRecord
from tenantmesh.runtime.row_security import InsecureDatabase
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import Service, a_copy, as_role, as_superuser, database_settings
from tests.integration.auth_svc.stand_in import new_tenant
from tests.passwords import GOOD_PASSWORD

EMPTY = {"auth.gauges": 0, "auth.sessions": 0, "auth.users": 0}


def rows() -> TenantRows:
    return TenantRows(PARTS, SCHEMA, (purged_tenants.name,))


@pytest.fixture(scope="module")
async def door(postgres: WorkerDatabase) -> AsyncIterator[ErasureDoor]:
    door = ErasureDoor(postgres.url("auth_purger"), database_settings(postgres), metadata, OUTAGE)
    await door.start()
    yield door
    await door.close()


@pytest.fixture
def source() -> MemoryTenantSource:
    return MemoryTenantSource()


@pytest.fixture
def data(doors: Doors, door: ErasureDoor, source: MemoryTenantSource) -> TenantData:
    return TenantData(doors, door.doors, source, rows(), timedelta(days=7))


async def peopled(postgres: WorkerDatabase, users: int = 5) -> TenantRecord:
    """A tenant with users, of whom each has two sessions, one of them revoked."""
    tenant = new_tenant()
    await as_superuser(
        postgres,
        """INSERT INTO auth.users SELECT $1, gen_random_uuid(), n || '@x.example', n || '@x.example', 'N', 'hash',
           '{member}', 0, now() FROM generate_series(1, $2::int) AS n""",
        tenant.id,
        users,
    )
    await as_superuser(
        postgres,
        """INSERT INTO auth.sessions SELECT tenant_id, gen_random_uuid(), user_id, '', '[]', now(), now(),
           now() + interval '1 day', CASE n WHEN 1 THEN now() END, NULL
           FROM auth.users, generate_series(1, 2) AS n WHERE tenant_id = $1""",
        tenant.id,
    )
    await as_superuser(postgres, "INSERT INTO auth.gauges VALUES ($1, 'users', $2, 1, 0)", tenant.id, users)
    return tenant


async def test_everything_is_counted(data: TenantData, postgres: WorkerDatabase) -> None:
    tenant = await peopled(postgres)
    counts = await data.count(tenant.id)
    assert counts.rows == {"auth.gauges": 1, "auth.sessions": 10, "auth.users": 5}
    assert (counts.sessions, counts.passwords) == (5, 5)


async def test_rows_go_in_bounded_steps_and_those_of_others_stay(data: TenantData, postgres: WorkerDatabase) -> None:
    tenant, other = await peopled(postgres), await peopled(postgres)
    before = await data.count(other.id)
    removed, more = await data.purge(tenant.id, 7)
    assert (removed, more) == ({"auth.sessions": 7}, True)
    removed, more = await data.purge(tenant.id, 7)
    assert (removed, more) == ({"auth.sessions": 3, "auth.users": 4}, True)
    removed, more = await data.purge(tenant.id, 7)
    assert (removed, more) == ({"auth.users": 1, "auth.gauges": 1}, False)
    assert await data.purge(tenant.id, 7) == ({}, False)
    assert (await data.count(tenant.id)).rows == EMPTY
    assert await data.count(other.id) == before


async def test_a_tenant_that_is_served_keeps_its_data(
    data: TenantData, source: MemoryTenantSource, postgres: WorkerDatabase
) -> None:
    tenant = await peopled(postgres)
    source.set(tenant)
    with pytest.raises(FailedPrecondition) as refused:
        await data.purge(tenant.id, 10)
    assert refused.value.reason == "TENANT_SERVED"
    assert (await data.count(tenant.id)).rows["auth.users"] == 5


async def test_without_the_role_nothing_is_purged_and_counting_goes_on(
    doors: Doors, source: MemoryTenantSource, postgres: WorkerDatabase
) -> None:
    data = TenantData(doors, None, source, rows(), timedelta(days=7))
    tenant = await peopled(postgres)
    assert (await data.count(tenant.id)).rows["auth.users"] == 5
    with pytest.raises(FailedPrecondition) as refused:
        await data.purge(tenant.id, 10)
    assert refused.value.reason == "PURGE_NOT_SET_UP"


async def test_the_role_sees_and_deletes_one_tenants_rows_and_writes_none(postgres: WorkerDatabase) -> None:
    tenant, other = await peopled(postgres), await peopled(postgres)
    found = await as_role(postgres, "auth_purger", "SELECT DISTINCT tenant_id FROM auth.users", tenant=tenant)
    assert found == [{"tenant_id": tenant.id}]
    await as_role(postgres, "auth_purger", "DELETE FROM auth.sessions", tenant=tenant)
    left = await as_superuser(postgres, "SELECT count(*) FROM auth.sessions WHERE tenant_id = $1", other.id)
    assert left == [{"count": 10}]
    for statement in (
        "UPDATE auth.users SET email = ''",
        "INSERT INTO auth.gauges VALUES (gen_random_uuid(), 'users', 0, 0, 0)",
        "SELECT * FROM auth.signing_keys",
        "SELECT * FROM auth.system_keys",
        "TRUNCATE auth.sessions",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_role(postgres, "auth_purger", statement, tenant=tenant)
    with pytest.raises(asyncpg.UndefinedObjectError):
        await as_role(postgres, "auth_purger", "SELECT * FROM auth.users")


async def test_a_table_that_no_part_names_is_found_or_named(postgres: WorkerDatabase) -> None:
    with a_copy(postgres) as own:
        tenant = await peopled(own)
        await as_superuser(own, "CREATE TABLE auth.passkeys (tenant_id uuid NOT NULL)")
        await as_superuser(own, "INSERT INTO auth.passkeys VALUES ($1)", tenant.id)
        door = ErasureDoor(own.url("auth_purger"), database_settings(own), metadata, OUTAGE)
        data = TenantData(door.doors, door.doors, MemoryTenantSource(), rows(), timedelta(days=7))
        try:
            with pytest.raises(FailedPrecondition, match=r"auth\.passkeys") as unknown:
                await data.count(tenant.id)
            assert unknown.value.reason == "PURGE_NOT_SET_UP"
            await as_superuser(own, "GRANT SELECT ON auth.passkeys TO auth_purger")
            assert (await data.count(tenant.id)).rows["auth.passkeys"] == 1
            # Row-level security without a policy for the role would show an empty table.
            await as_superuser(own, "ALTER TABLE auth.passkeys ENABLE ROW LEVEL SECURITY")
            with pytest.raises(FailedPrecondition, match=r"auth\.passkeys"):
                await data.count(tenant.id)
        finally:
            await door.close()


@pytest.mark.parametrize("role", ["auth_app", "auth_directory"])
async def test_no_other_role_purges(postgres: WorkerDatabase, role: str) -> None:
    door = ErasureDoor(postgres.url(role), database_settings(postgres), metadata, OUTAGE)
    try:
        with pytest.raises(InsecureDatabase, match="auth_purger purges"):
            await door.start()
    finally:
        await door.close()


async def test_a_service_calls_it_with_a_key_that_may(
    service: Service, acme: TenantRecord, postgres: WorkerDatabase
) -> None:
    account = {"email": "ann@people.example", "password": GOOD_PASSWORD}
    await service.call("Register", auth_service_pb2.RegisterRequest(**account), tenant=acme)
    settings = database_settings(postgres)
    key = await create_key(settings, "tenant_worker", "SERVICE", ["tenant_data.read", "tenant_data.purge"])
    async with service.channel(key) as channel:
        stub: Any = TenantDataServiceStub(channel)
        counted = await stub.CountTenantData(pb.CountTenantDataRequest(tenant_id=str(acme.id)), timeout=10)
        assert {each.table: each.rows for each in counted.tables}["auth.users"] == 1
        request = pb.PurgeTenantDataRequest(tenant_id=str(acme.id), max_rows=100)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.PurgeTenantData(request, timeout=10)
        assert reason_of(refused.value) == "TENANT_SERVED"
        del service.tenants.records[str(acme.id)]
        purged = await stub.PurgeTenantData(request, timeout=10)
        assert {each.table: each.rows for each in purged.removed} == {"auth.users": 1, "auth.gauges": 1}
        assert not purged.more
        for wrong in (pb.PurgeTenantDataRequest(), pb.PurgeTenantDataRequest(tenant_id=str(acme.id), max_rows=-1)):
            with pytest.raises(grpc.aio.AioRpcError, match=r"max_rows|tenant_id"):
                await stub.PurgeTenantData(wrong, timeout=10)
    async with service.channel(service.service_key) as channel:
        stub = TenantDataServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError, match=r"tenant_data\.purge"):
            await stub.PurgeTenantData(request, timeout=10)
