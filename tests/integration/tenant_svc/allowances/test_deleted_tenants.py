"""What processes hold of a tenant that is deleted comes back to it, and nothing new is given out."""

from __future__ import annotations

from typing import Any

import grpc

from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant.v1 import tenant_service_pb2 as tenants_pb2
from tenantmesh.tenant.v1.entitlement_service_pb2 import GetEntitlementsRequest
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import EntitlementServiceStub
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceStub
from tests.integration.tenant_svc.serving import Service, refusal, request

METER = "api_requests"


async def test_units_are_returned_while_their_tenant_is_deleted(service: Service) -> None:
    ledger: Any = QuotaServiceStub(service.channel(service.service_key("*")))
    entitlements: Any = EntitlementServiceStub(service.channel(service.service_key("*")))
    tenant = await service.operator.CreateTenant(request())
    asks = [pb.LeaseAsk(meter=METER, want=50, need=1)]
    (leased,) = (await ledger.Lease(pb.LeaseRequest(id=tenant.id, asks=asks))).slices
    await service.operator.DeleteTenant(tenants_pb2.DeleteTenantRequest(id=tenant.id))
    assert await refusal(ledger.Lease(pb.LeaseRequest(id=tenant.id, asks=asks))) == (
        grpc.StatusCode.NOT_FOUND,
        "TENANT_NOT_FOUND",
    )
    back = pb.ReturnRequest(id=tenant.id, meter=METER, amount=leased.granted, period_start=leased.period_start)
    assert (await ledger.Return(back)).returned == leased.granted == 50
    restored = await service.operator.UndeleteTenant(tenants_pb2.UndeleteTenantRequest(id=tenant.id))
    standing = await entitlements.GetEntitlements(GetEntitlementsRequest(id=restored.id))
    assert [each.usage.used for each in standing.entitlements if each.feature == METER] == [0]
