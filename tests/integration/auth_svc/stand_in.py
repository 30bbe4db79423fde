"""A stand-in for tenant_svc, over gRPC: as much of it as auth_svc needs."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from tenantmesh.interceptors.errors import MeshError, Unavailable
from tenantmesh.interceptors.servers.status import refusal
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, TenantState
from tenantmesh.policy.v1.watch_pb2 import Checkpoint
from tenantmesh.tenant.v1 import entitlement_pb2, plan_pb2, tenant_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2 as entitlements_pb2
from tenantmesh.tenant.v1 import quota_service_pb2 as quotas_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as tenants_pb2
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import (
    EntitlementServiceServicer,
    add_EntitlementServiceServicer_to_server,
)
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceServicer, add_QuotaServiceServicer_to_server
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import TenantServiceServicer, add_TenantServiceServicer_to_server

CAUGHT_UP = Checkpoint(caught_up=True)


def new_tenant(state: TenantState = TenantState.ACTIVE) -> TenantRecord:
    """A tenant that no other test has: tests share the database."""
    return TenantRecord(TenantId(uuid.uuid4()), f"t{uuid.uuid4().hex[:20]}", state, "basic")


async def refuse(context: Any, error: MeshError) -> None:
    answer = refusal(error)
    context.set_trailing_metadata(answer.metadata)
    await context.abort(answer.code, answer.message)


class StandInTenants(TenantServiceServicer):
    """tenant_svc as auth_svc sees it: resolving, and a watch on which nothing happens."""

    def __init__(self) -> None:
        self.records: dict[str, TenantRecord] = {}

    def add(self, state: TenantState = TenantState.ACTIVE) -> TenantRecord:
        record = new_tenant(state)
        self.records[str(record.id)] = self.records[record.slug] = record
        return record

    async def ResolveTenant(self, request: tenants_pb2.ResolveTenantRequest, context: Any) -> tenant_pb2.Tenant:
        record = self.records.get(request.tenant_id or request.slug)
        if record is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such tenant")
            raise AssertionError
        state = tenant_pb2.TenantState.Value(f"TENANT_STATE_{record.state.name}")
        return tenant_pb2.Tenant(id=str(record.id), slug=record.slug, state=state, plan_id=record.plan_id)

    async def WatchTenants(
        self, request: tenants_pb2.WatchTenantsRequest, context: Any
    ) -> AsyncIterator[tenants_pb2.WatchTenantsResponse]:
        yield tenants_pb2.WatchTenantsResponse(checkpoint=CAUGHT_UP, cursor="1")
        await asyncio.Event().wait()

    async def CreateTenant(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    GetTenant = ListTenants = SuspendTenant = ResumeTenant = MigrateTenantPlan = PurgeTenant = CreateTenant
    UpdateTenant = DeleteTenant = UndeleteTenant = CreateTenant


class StandInQuotas(QuotaServiceServicer):
    """tenant_svc as the reporter of levels sees it."""

    def __init__(self) -> None:
        self.told: list[quotas_pb2.ReportGaugeRequest] = []
        self.refusals: dict[str, MeshError] = {}
        """By tenant; under "" for everybody."""
        self.refused = 0
        self._changed = asyncio.Event()

    def level(self, tenant_id: uuid.UUID) -> int:
        """The number of users by the newest report; -1 where there was none."""
        reports = [each for each in self.told if each.id == str(tenant_id)]
        return max(reports, key=lambda each: each.version).level if reports else -1

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for reports that make the condition true."""
        async with asyncio.timeout(60):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def ReportGauge(self, request: quotas_pb2.ReportGaugeRequest, context: Any) -> quotas_pb2.Gauge:
        refused = self.refusals.get("") or self.refusals.get(request.id)
        if refused is None:
            self.told.append(request)
        else:
            self.refused += 1
        self._changed.set()
        if refused is not None:
            await refuse(context, refused)
        return quotas_pb2.Gauge(gauge=request.gauge, level=request.level)

    async def Lease(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    Return = Allocate = Commit = Release = AdjustGauge = Lease


class StandInEntitlements(EntitlementServiceServicer):
    """A plan in which nothing is limited but the users of the tenants in `users`."""

    def __init__(self) -> None:
        self.users: dict[TenantId, int] = {}
        self.away = False

    async def GetEntitlements(
        self, request: entitlements_pb2.GetEntitlementsRequest, context: Any
    ) -> entitlement_pb2.Entitlements:
        if self.away:
            await refuse(context, Unavailable("ENTITLEMENTS_UNAVAILABLE", "away"))
        limit = self.users.get(TenantId(uuid.UUID(request.id)))
        value = plan_pb2.FeatureValue(unlimited=True) if limit is None else plan_pb2.FeatureValue(limit=limit)
        return entitlement_pb2.Entitlements(
            tenant_id=request.id,
            plan_id="basic",
            plan_version=1,
            revision=1,
            entitlements=[
                entitlement_pb2.Entitlement(
                    feature="users",
                    type=plan_pb2.FEATURE_TYPE_GAUGE,
                    value=value,
                    enabled=limit is None or limit > 0,
                ),
                entitlement_pb2.Entitlement(
                    feature="api_requests",
                    type=plan_pb2.FEATURE_TYPE_METERED,
                    value=plan_pb2.FeatureValue(unlimited=True),
                    enabled=True,
                ),
            ],
        )

    async def WatchEntitlements(
        self, request: entitlements_pb2.WatchEntitlementsRequest, context: Any
    ) -> AsyncIterator[entitlements_pb2.WatchEntitlementsResponse]:
        yield entitlements_pb2.WatchEntitlementsResponse(checkpoint=CAUGHT_UP, cursor="1")
        await asyncio.Event().wait()

    async def CheckEntitlement(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    BatchCheckEntitlements = ExplainEntitlement = ListEntitlementChanges = CheckEntitlement
    ListOverrides = SetOverride = ClearOverride = CreateGrant = ListGrants = VoidGrant = CheckEntitlement


@dataclass
class StandIn:
    """Where it listens, and its parts."""

    target: str
    tenants: StandInTenants
    entitlements: StandInEntitlements
    quotas: StandInQuotas


@asynccontextmanager
async def stand_in() -> AsyncIterator[StandIn]:
    """Serves it."""
    tenants, entitlements, quotas = StandInTenants(), StandInEntitlements(), StandInQuotas()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_TenantServiceServicer_to_server(tenants, server)
    add_EntitlementServiceServicer_to_server(entitlements, server)
    add_QuotaServiceServicer_to_server(quotas, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield StandIn(f"127.0.0.1:{port}", tenants, entitlements, quotas)
    finally:
        await server.stop(None)
