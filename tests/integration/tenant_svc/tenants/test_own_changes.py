"""The process that changes a tenant serves by the change at once: its directory does not wait for the event."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from tenantmesh.chassis.event_log.tail import Tail
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors.policy import policies_of
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import login_host_service_pb2 as hosts_pb2
from tenantmesh.tenant.v1 import tenant_bulk_service_pb2 as bulk_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1.login_host_service_pb2_grpc import LoginHostServiceStub
from tenantmesh.tenant.v1.tenant_bulk_service_pb2_grpc import TenantBulkServiceStub
from tenantmesh.tenant.v1.tenant_pb2 import Tenant
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import TenantServiceStub
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.serving import Service, reason_of, request, running
from tests.integration.tenant_svc.stage import as_superuser, unused_slug

SUSPENDED, NOWHERE, OTHERS = "TENANT_SUSPENDED", "TENANT_NOT_FOUND", "TENANT_MISMATCH"
VERIFIED = "update tenant.login_hosts set state = 'VERIFIED', verify_time = now() where tenant_id = $1"
SERVED = "update tenant.tenants set login_hosts = array[$2::text] where tenant_id = $1"


class Calls:
    """Calls of the one process, by an operator and by users. No event reaches its directory meanwhile."""

    def __init__(self, service: Service, database: WorkerDatabase) -> None:
        opened = service.channel(service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*"))
        self.tenants: Any = TenantServiceStub(opened)
        self.bulk: Any = TenantBulkServiceStub(opened)
        self.hosts: Any = LoginHostServiceStub(opened)
        self._service = service
        self._database = database

    async def made(self) -> Tenant:
        made: Tenant = await self.tenants.CreateTenant(request())
        return made

    def by_user(self, tenant: Tenant) -> Callable[..., Awaitable[str]]:
        """A look at the tenant by one of its users, at a host if one is given: OK, or the reason of the refusal."""
        stub = self._service.stub(self._service.auth.token(TenantId(uuid.UUID(tenant.id))))

        async def look(host: str = "") -> str:
            metadata = [("x-forwarded-host", host)] if host else []
            found = await outcome(stub.GetTenant(pb.GetTenantRequest(id=tenant.id), metadata=metadata))
            return "OK" if found == tenant.id else found

        return look

    async def found(self, name: str) -> str:
        """The id of the tenant to which the name leads an operator, or the reason of the refusal."""
        return await outcome(self.tenants.GetTenant(pb.GetTenantRequest(id=name)))

    async def served_host(self, tenant: Tenant) -> str:
        host = f"h{uuid.uuid4().hex[:16]}.com"
        await self.hosts.CreateLoginHost(hosts_pb2.CreateLoginHostRequest(id=tenant.id, host=host))
        await as_superuser(self._database, VERIFIED, uuid.UUID(tenant.id))
        await as_superuser(self._database, SERVED, uuid.UUID(tenant.id), host)
        return host


async def outcome(call: Any) -> str:
    """The id of the tenant that the call answers, or the reason of the refusal."""
    try:
        return str((await call).id)
    except grpc.aio.AioRpcError as error:
        return reason_of(error)


@pytest.fixture(scope="module")
async def service(migrated: WorkerDatabase, store: Store) -> AsyncIterator[Service]:
    """It believes what a test says of the host of a call, as it believes the edge."""
    async with running(migrated, store, proxies="127.0.0.0/8") as made:
        yield made


@pytest.fixture
async def calls(service: Service, migrated: WorkerDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Calls]:
    go_on, read = asyncio.Event(), Tail._read

    async def held(tail: Tail[Any]) -> bool:
        await go_on.wait()
        return await read(tail)

    monkeypatch.setattr(Tail, "_read", held)
    yield Calls(service, migrated)
    go_on.set()


async def suspend(calls: Calls) -> None:
    tenant, beside = await calls.made(), await calls.made()
    look, look_beside = calls.by_user(tenant), calls.by_user(beside)
    assert (await look(), await look_beside()) == ("OK", "OK")
    await calls.tenants.SuspendTenant(pb.SuspendTenantRequest(id=tenant.id, reason="unpaid"))
    assert (await look(), await look_beside()) == (SUSPENDED, "OK")


async def resume(calls: Calls) -> None:
    tenant = await calls.made()
    await calls.tenants.SuspendTenant(pb.SuspendTenantRequest(id=tenant.id, reason="unpaid"))
    look = calls.by_user(tenant)
    assert await look() == SUSPENDED
    await calls.tenants.ResumeTenant(pb.ResumeTenantRequest(id=tenant.id))
    assert await look() == "OK"


async def delete(calls: Calls) -> None:
    tenant = await calls.made()
    look = calls.by_user(tenant)
    assert (await look(), await calls.found(tenant.slug)) == ("OK", tenant.id)
    await calls.tenants.DeleteTenant(pb.DeleteTenantRequest(id=tenant.id, release_slug=True))
    assert (await look(), await calls.found(tenant.slug)) == (NOWHERE, NOWHERE)


async def undelete(calls: Calls) -> None:
    tenant, slug = await calls.made(), unused_slug()
    await calls.tenants.DeleteTenant(pb.DeleteTenantRequest(id=tenant.id))
    look = calls.by_user(tenant)
    assert (await look(), await calls.found(slug)) == (NOWHERE, NOWHERE)
    await calls.tenants.UndeleteTenant(pb.UndeleteTenantRequest(id=tenant.id, slug=slug))
    assert (await look(), await calls.found(slug)) == ("OK", tenant.id)


async def rename(calls: Calls) -> None:
    tenant, slug = await calls.made(), unused_slug()
    assert await calls.found(slug) == NOWHERE
    await calls.tenants.UpdateTenant(renaming(tenant, slug))
    assert (await calls.found(slug), await calls.found(tenant.slug)) == (tenant.id, tenant.id)


async def create_under_a_released_name(calls: Calls) -> None:
    tenant = await calls.made()
    await calls.tenants.DeleteTenant(pb.DeleteTenantRequest(id=tenant.id, release_slug=True))
    assert await calls.found(tenant.slug) == NOWHERE
    anew = await calls.tenants.CreateTenant(request(tenant.slug))
    assert await calls.found(tenant.slug) == anew.id != tenant.id


async def remove_host(calls: Calls) -> None:
    tenant, other = await calls.made(), await calls.made()
    host, look = await calls.served_host(tenant), calls.by_user(other)
    assert await look(host) == OTHERS
    await calls.hosts.DeleteLoginHost(hosts_pb2.DeleteLoginHostRequest(id=tenant.id, host=host))
    assert await look(host) == "OK"


async def create_several(calls: Calls) -> None:
    slug = unused_slug()
    assert await calls.found(slug) == NOWHERE
    await calls.bulk.BatchCreateTenants(bulk_pb2.BatchCreateTenantsRequest(requests=[request(slug)]))
    assert await calls.found(slug) != NOWHERE


async def rename_several(calls: Calls) -> None:
    tenant, slug = await calls.made(), unused_slug()
    assert await calls.found(slug) == NOWHERE
    await calls.bulk.BatchUpdateTenants(bulk_pb2.BatchUpdateTenantsRequest(requests=[renaming(tenant, slug)]))
    assert await calls.found(slug) == tenant.id


async def suspend_several(calls: Calls) -> None:
    tenant = await calls.made()
    look = calls.by_user(tenant)
    assert await look() == "OK"
    items = [pb.SuspendTenantRequest(id=tenant.id, reason="unpaid")]
    await calls.bulk.BatchSuspendTenants(bulk_pb2.BatchSuspendTenantsRequest(requests=items))
    assert await look() == SUSPENDED


async def delete_several(calls: Calls) -> None:
    tenant = await calls.made()
    assert await calls.found(tenant.slug) == tenant.id
    items = [pb.DeleteTenantRequest(id=tenant.id, release_slug=True)]
    await calls.bulk.BatchDeleteTenants(bulk_pb2.BatchDeleteTenantsRequest(requests=items))
    assert await calls.found(tenant.slug) == NOWHERE


def renaming(tenant: Tenant, slug: str) -> pb.UpdateTenantRequest:
    renaming = pb.UpdateTenantRequest(id=tenant.id, tenant=Tenant(slug=slug))
    renaming.update_mask.paths.append("slug")
    return renaming


CHANGES: dict[str, Callable[[Calls], Awaitable[None]]] = {
    "CreateTenant": create_under_a_released_name,
    "UpdateTenant": rename,
    "DeleteTenant": delete,
    "UndeleteTenant": undelete,
    "SuspendTenant": suspend,
    "ResumeTenant": resume,
    "BatchCreateTenants": create_several,
    "BatchUpdateTenants": rename_several,
    "BatchSuspendTenants": suspend_several,
    "BatchDeleteTenants": delete_several,
    "DeleteLoginHost": remove_host,
}
OTHERWISE = {
    **dict.fromkeys(("MigrateTenantPlan", "PurgeTenant", "ImportTenants", "VerifyLoginHost"), "a job makes the change"),
    **dict.fromkeys(("CreateLoginHost", "BatchCreateLoginHosts"), "a name that is not proven leads nowhere"),
    "MakePrimaryLoginHost": "the directory does not know which host is the primary one",
}
"""Methods after which this process's directory is right as it is, each with the reason."""


@pytest.mark.parametrize("method", CHANGES)
async def test_the_next_call_sees_the_change(calls: Calls, method: str) -> None:
    await CHANGES[method](calls)


def test_no_method_is_left_out() -> None:
    protos = (pb, bulk_pb2, hosts_pb2)
    services = [service for proto in protos for service in proto.DESCRIPTOR.services_by_name.values()]
    changing = {name.rpartition("/")[2] for name, policy in policies_of(services).items() if policy.mutates}
    assert changing == set(CHANGES) | set(OTHERWISE)
