"""Calls that were under way when their tenant was purged: what they write goes too, or is not written at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from tenantmesh.auth_svc.gauges import repository as gauges
from tenantmesh.auth_svc.schema import OUTAGE as AUTH_OUTAGE
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.signing.key_ring import KeyRing
from tenantmesh.interceptors.errors import NotFound, Unavailable
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.operations.operation import Operation, OperationState
from tenantmesh.tenant_svc.purges.amounts import StoreKeys
from tenantmesh.tenant_svc.purges.executor import PurgeExecutor
from tenantmesh.tenant_svc.purges.proof import read_proof
from tenantmesh.tenant_svc.purges.purge import PurgeStep
from tenantmesh.tenant_svc.tenants.deletions import DeletionRequest
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import as_role
from tests.integration.tenant_svc.purges.purging import LocalAccounts, Purging, filled, left
from tests.integration.tenant_svc.world import ACTOR, World

NEW_OPERATION = """INSERT INTO tenant.operations (tenant_id, operation_id, type, state, request, progress,
    cancel_requested, actor, effective_time, create_time, end_time)
    VALUES ($1, gen_random_uuid(), 'LATE', 'SUCCEEDED', '{}', '{}', false, '', now(), now(), now())"""
NEW_USER = """INSERT INTO auth.users (tenant_id, user_id, email, email_normalised, display_name, password_hash, roles,
    epoch, create_time)
    VALUES ($1, gen_random_uuid(), 'late@x.example', 'late@x.example', 'N', 'hash', '{member}', 0, now())"""


def before(step: PurgeStep, work: Callable[[], Awaitable[object]]) -> type[PurgeExecutor]:
    """An executor beside which something happens just before the step."""

    class Beside(PurgeExecutor):
        async def take(self, operation: Operation, current: PurgeStep) -> Operation | None:
            if current is step:
                await work()
            return await super().take(operation, current)

    return Beside


async def succeed(purge: Purging, tenant: Tenant, kind: type[PurgeExecutor] = PurgeExecutor) -> None:
    ended = await purge.executor(kind).run((await purge.started(tenant.id)).id)
    assert ended is not None
    assert ended.state is OperationState.SUCCEEDED, ended.error


@pytest.mark.parametrize("step", [PurgeStep.JOBS, PurgeStep.SCAN, PurgeStep.TENANT])
@pytest.mark.parametrize("statement", [NEW_OPERATION, NEW_USER], ids=["tenant_svc", "auth_svc"])
async def test_a_row_that_comes_late_goes_with_the_others(
    purge: Purging, world: World, step: PurgeStep, statement: str
) -> None:
    tenant = await filled(world, purge)
    await purge.deleted(tenant.id)
    await succeed(purge, tenant, before(step, lambda: world.rows(statement, tenant.id)))
    assert await left(world, tenant.id) == {}


async def test_no_role_of_a_service_writes_for_a_purged_tenant(
    purge: Purging, world: World, migrated: WorkerDatabase
) -> None:
    tenant, other = await filled(world, purge), await filled(world, purge)
    await purge.deleted(tenant.id)
    await succeed(purge, tenant)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await as_role(migrated, "tenant_app", NEW_OPERATION.replace("$1", f"'{tenant.id}'"), tenant=tenant.record)
    for each, refused in ((tenant, True), (other, False)):
        statement = NEW_USER.replace("$1", f"'{each.id}'")
        if refused:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="purge_fence"):
                await as_role(migrated, "auth_app", statement, tenant=each.record)
        else:
            await as_role(migrated, "auth_app", statement, tenant=each.record)
    assert await left(world, tenant.id) == {}


async def test_a_call_under_way_is_told_that_its_tenant_is_gone(
    purge: Purging, world: World, migrated: WorkerDatabase
) -> None:
    tenant = await filled(world, purge)
    await purge.deleted(tenant.id)
    await succeed(purge, tenant)
    database = Database(DatabaseSettings(url=migrated.url("auth_app")), schema="auth")
    with pytest.raises(NotFound) as gone:
        async with Doors(database, AUTH_OUTAGE).tenant(tenant.id) as connection:
            await gauges.hold(connection, tenant.id, "users")
    assert gone.value.reason == "TENANT_NOT_FOUND"
    await database.close()


async def test_a_purge_waits_for_transactions_that_have_written_before(
    purge: Purging, world: World, migrated: WorkerDatabase
) -> None:
    """It waits for a transaction that it can't see the rows of, and holds up nobody."""
    tenant, other = await filled(world, purge), await filled(world, purge)
    await purge.deleted(tenant.id)
    connection = await asyncpg.connect(migrated.url("auth_app").get_secret_value())
    under_way = connection.transaction()
    await under_way.start()
    await connection.execute("SELECT set_config('app.tenant_id', $1, true)", str(tenant.id))
    await connection.execute(NEW_USER, tenant.id)
    purged = asyncio.create_task(succeed(purge, tenant))
    while not await world.rows("SELECT FROM auth.purged_tenants WHERE tenant_id = $1", tenant.id):
        assert not purged.done(), purged.result()
        await asyncio.sleep(0.01)
    await as_role(migrated, "auth_app", NEW_USER.replace("$1", f"'{other.id}'"), tenant=other.record)
    assert (await left(world, tenant.id))["auth.users"] == 3, "it waits before it deletes"
    await under_way.commit()
    await connection.close()
    await purged
    assert await left(world, tenant.id) == {}


async def test_a_tenant_that_was_brought_back_meanwhile_is_counted_anew(purge: Purging, world: World) -> None:
    """A purge that was refused has removed nothing. What it has counted is not what the next one finds."""
    tenant = await filled(world, purge)
    await purge.deleted(tenant.id)
    operation = await purge.started(tenant.id)
    await purge.deletions.undelete(tenant.id, "", "", ACTOR)
    refused = await purge.executor().run(operation.id)
    assert refused is not None
    assert refused.state is OperationState.FAILED
    for _ in range(2):
        await world.rows(NEW_OPERATION, tenant.id)
    second = await purge.deletions.delete(tenant.id, DeletionRequest(actor="another-operator"))
    await succeed(purge, tenant)
    proof = read_proof((await purge.purges.get(tenant.id)).proof.encode())
    assert {each["table"]: each["before"] for each in proof["tables"]}["tenant.operations"] == 5
    assert second.deletion is not None
    assert proof["deleted"]["actor"] == second.deletion.actor


@pytest.mark.parametrize(
    ("part", "method"),
    [
        (LocalAccounts, "count"),
        (LocalAccounts, "purge"),
        (StoreKeys, "count"),
        (StoreKeys, "delete"),
        (KeyRing, "signer"),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
async def test_what_is_away_is_waited_for(
    purge: Purging, world: World, monkeypatch: pytest.MonkeyPatch, part: type, method: str
) -> None:
    """auth_svc, the store, or the key that signs: the job is tried again, and ends with one proof."""
    tenant = await filled(world, purge)
    await purge.deleted(tenant.id)
    operation = await purge.started(tenant.id)

    def away(*_: object) -> None:
        raise Unavailable("AWAY", "It is away.")

    with monkeypatch.context() as patched:
        patched.setattr(part, method, away)
        with pytest.raises(Unavailable):
            await purge.executor().run(operation.id)
    ended = await purge.executor().run(operation.id)
    assert ended is not None
    assert ended.state is OperationState.SUCCEEDED, ended.error
    proof = read_proof((await purge.purges.get(tenant.id)).proof.encode())
    assert {each["table"]: each["before"] for each in proof["tables"]}["auth.users"] == 3
    assert await left(world, tenant.id) == {}
