"""Parents that go while children come: whatever the order, no tenant is served below one that is deleted or purged."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import tenant_bulk_service_pb2 as bulk_pb
from tenantmesh.tenant.v1 import tenant_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1.tenant_bulk_service_pb2_grpc import TenantBulkServiceStub
from tenantmesh.tenant_svc.positions import lock_log
from tests.integration.tenant_svc.serving import Service, reason_of, request
from tests.integration.tenant_svc.world import World

ROUNDS, CHILDREN = 12, 4
REFUSED = {"PARENT_NOT_FOUND", "TENANT_HAS_CHILDREN", "PARENT_DELETED"}
BELOW = """
select child.tenant_id from tenant.tenants child left join tenant.tenants parent on parent.tenant_id = child.parent_id
where child.parent_id = any($1) and child.state <> 'DELETED'
and (parent.tenant_id is null or parent.state = 'DELETED' or parent.purge_start_time is not null)
"""


class Callers:
    """The methods that add a tenant below a parent, and those that take a parent away: one by one, and in batches."""

    def __init__(self, service: Service) -> None:
        self.tenants: Any = service.operator
        self.bulk: Any = TenantBulkServiceStub(service.channel(service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*")))

    async def parent(self) -> str:
        made: tenant_pb2.Tenant = await self.tenants.CreateTenant(request())
        return made.id

    async def create(self, parent: str) -> None:
        await self.tenants.CreateTenant(request(parent_id=parent))

    async def create_in_a_batch(self, parent: str) -> None:
        await self.bulk.BatchCreateTenants(bulk_pb.BatchCreateTenantsRequest(requests=[request(parent_id=parent)]))

    async def delete(self, parent: str) -> None:
        await self.tenants.DeleteTenant(pb.DeleteTenantRequest(id=parent))

    async def delete_in_a_batch(self, parent: str) -> None:
        deletion = pb.DeleteTenantRequest(id=parent)
        await self.bulk.BatchDeleteTenants(bulk_pb.BatchDeleteTenantsRequest(requests=[deletion]))

    async def undelete(self, child: str) -> None:
        await self.tenants.UndeleteTenant(pb.UndeleteTenantRequest(id=child))


@pytest.fixture
async def callers(service: Service) -> Callers:
    return Callers(service)


async def refused(call: Awaitable[None]) -> str:
    """The reason of the refusal; empty for a call that was served."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return reason_of(error)
    return ""


@asynccontextmanager
async def log_locked(doors: Doors) -> AsyncIterator[None]:
    """Nobody else's change of a tenant gets further than to the log's lock: all have checked what they check before."""
    async with doors.system("hold the log") as connection:
        await lock_log(connection)
        yield


async def at_once(world: World, doors: Doors, calls: Sequence[Awaitable[None]]) -> list[str]:
    """The refusals of the calls, which wait for the log together."""
    waiting = (
        "select count(*) as n from pg_locks join pg_database on oid = database "
        "where locktype = 'advisory' and not granted and datname = current_database()"
    )
    async with asyncio.TaskGroup() as group, log_locked(doors):
        tasks = [group.create_task(refused(call)) for call in calls]
        async with asyncio.timeout(30):
            while (await world.rows(waiting))[0]["n"] < 2:
                await asyncio.sleep(0.01)
    return [task.result() for task in tasks]


@pytest.mark.parametrize("creating", ["create", "create_in_a_batch"])
@pytest.mark.parametrize("deleting", ["delete", "delete_in_a_batch"])
async def test_a_child_never_comes_to_a_parent_that_goes(
    callers: Callers, world: World, doors: Doors, creating: str, deleting: str
) -> None:
    create: Callable[[str], Awaitable[None]] = getattr(callers, creating)
    delete: Callable[[str], Awaitable[None]] = getattr(callers, deleting)
    parents = [await callers.parent() for _ in range(ROUNDS)]
    outcomes = [
        await at_once(world, doors, [delete(parent), create(parent)][:: 1 if number % 2 else -1])
        for number, parent in enumerate(parents)
    ]
    assert await world.rows(BELOW, [uuid.UUID(parent) for parent in parents]) == []
    assert {reason for each in outcomes for reason in each} <= {*REFUSED, "BATCH_REFUSED", ""}
    assert all(each.count("") == 1 for each in outcomes), "one of the two is served"


async def test_a_child_that_comes_back_never_comes_below_a_parent_that_goes(
    callers: Callers, world: World, doors: Doors
) -> None:
    parents = [await callers.parent() for _ in range(ROUNDS)]
    children = [(await callers.tenants.CreateTenant(request(parent_id=parent))).id for parent in parents]
    for child in children:
        await callers.delete(child)
    outcomes = [
        await at_once(world, doors, [callers.delete(parent), callers.undelete(child)])
        for parent, child in zip(parents, children, strict=True)
    ]
    assert await world.rows(BELOW, [uuid.UUID(parent) for parent in parents]) == []
    assert {reason for each in outcomes for reason in each} <= {*REFUSED, ""}
    assert all(each.count("") == 1 for each in outcomes), "one of the two is served"


async def test_of_many_calls_at_once_none_waits_for_ever(callers: Callers, world: World) -> None:
    """Each deletion holds two connections: so many must not keep all from going on."""
    parents = [await callers.parent() for _ in range(ROUNDS)]
    calls = [
        call
        for parent in parents
        for call in (callers.delete(parent), *(callers.create(parent) for _ in range(CHILDREN)))
    ]
    async with asyncio.timeout(60):
        reasons = set(await asyncio.gather(*map(refused, calls)))
    assert reasons <= {*REFUSED, ""}
    assert await world.rows(BELOW, [uuid.UUID(parent) for parent in parents]) == []
