"""Requests that were stored with the credential of their caller, not with its name, are still recognised."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from google.protobuf.message import Message

from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import entitlement_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2 as entitlements
from tenantmesh.tenant.v1 import quota_service_pb2 as quotas
from tenantmesh.tenant.v1 import tenant_service_pb2 as tenants
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import EntitlementServiceStub
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceStub
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import TenantServiceStub
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.auth_stand_in import credential_of
from tests.integration.tenant_svc.serving import Service, refusal, request
from tests.integration.tenant_svc.stage import as_superuser

AMOUNTS = [quotas.Amount(meter="api_requests", amount=1)]


class Caller:
    """An operator, and its four repeatable methods."""

    def __init__(self, service: Service) -> None:
        self.key = service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*", name=f"ops-{uuid.uuid4().hex[:8]}")
        channel = service.channel(self.key)
        self.tenants: Any = TenantServiceStub(channel)
        self.entitlements: Any = EntitlementServiceStub(channel)
        self.quotas: Any = QuotaServiceStub(channel)
        self.credential = credential_of(self.key)

    async def tenant(self, again: str, *, other: bool = False) -> Message:
        slug = f"{'u' if other else 't'}-{again[:12]}"
        made: Message = await self.tenants.CreateTenant(tenants.CreateTenantRequest(slug=slug, request_id=again))
        return made

    async def grant(self, again: str, *, other: bool = False) -> Message:
        grant = entitlement_pb2.Grant(feature="api_requests", amount=6 if other else 5)
        asked = entitlements.CreateGrantRequest(id=await self._of(again), grant=grant, request_id=again)
        made: Message = await self.entitlements.CreateGrant(asked)
        return made

    async def allocation(self, again: str, *, other: bool = False) -> Message:
        amounts = [*AMOUNTS, quotas.Amount(meter="x_y", amount=1)] if other else AMOUNTS
        asked = quotas.AllocateRequest(id=await self._of(again), amounts=amounts, request_id=again)
        made: Message = await self.quotas.Allocate(asked)
        return made

    async def operation(self, again: str, *, other: bool = False) -> Message:
        plan = "enterprise" if other else "premium"
        asked = tenants.MigrateTenantPlanRequest(id=await self._of(again), plan_id=plan, request_id=again)
        made: Message = await self.tenants.MigrateTenantPlan(asked)
        return made

    async def _of(self, again: str) -> str:
        """The tenant that the request is about, which is made by another repeatable request."""
        slug, own = f"o-{again[:12]}", str(uuid.uuid5(uuid.NAMESPACE_OID, again))
        return str((await self.tenants.CreateTenant(request(slug, request_id=own))).id)


@pytest.fixture
def caller(service: Service) -> Caller:
    return Caller(service)


TABLES = {"tenant": "tenant_requests", "grant": "grants", "allocation": "allocations", "operation": "operations"}
METHODS = pytest.mark.parametrize("method", TABLES)


async def stored_as_before(migrated: WorkerDatabase, caller: Caller, table: str, again: str) -> None:
    stored = f"update tenant.{table} set requester = $1 where request_id = $2"
    assert await as_superuser(migrated, stored, caller.credential, uuid.UUID(again)) == "UPDATE 1"


@METHODS
async def test_a_request_of_before_is_answered_with_what_it_made(
    migrated: WorkerDatabase, caller: Caller, method: str
) -> None:
    again, send = str(uuid.uuid4()), getattr(caller, method)
    made = await send(again)
    await stored_as_before(migrated, caller, TABLES[method], again)
    assert list(await asyncio.gather(send(again), send(again))) == [made, made]


@METHODS
@pytest.mark.parametrize("before", [False, True], ids=["by name", "by credential"])
async def test_a_request_id_that_has_made_something_makes_nothing_else(
    migrated: WorkerDatabase, caller: Caller, method: str, before: bool
) -> None:
    again, send = str(uuid.uuid4()), getattr(caller, method)
    made = await send(again)
    if before:
        await stored_as_before(migrated, caller, TABLES[method], again)
    assert (await refusal(send(again, other=True)))[1] == "REQUEST_ID_REUSED"
    assert await send(again) == made
