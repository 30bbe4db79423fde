"""The wiring of allowances: the ledger, and the reader of the pool."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.chassis.capability import Capability
from tenantmesh.tenant.v1 import quota_service_pb2
from tenantmesh.tenant_svc.allowances.ledger import Ledger, PostgresLedger
from tenantmesh.tenant_svc.allowances.pool import PoolReader
from tenantmesh.tenant_svc.allowances.reservations import Reservations
from tenantmesh.tenant_svc.allowances.servicer import AllowanceServicer
from tenantmesh.tenant_svc.entitlements.entitlements import Pooled, nothing_pooled
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["build", "pooled_units"]

_SERVICE = quota_service_pb2.DESCRIPTOR.services_by_name["QuotaService"]


@dataclass(frozen=True, kw_only=True)
class AllowancesCapability(Capability):
    """`ledger` is the use case; `port` is its adapter for the service's own chain."""

    ledger: Ledger
    port: PostgresLedger


def pooled_units(resources: TenantResources) -> Pooled:
    """Return the reader of the units in the pool. It reads none without a pool."""
    return nothing_pooled if resources.pool is None else PoolReader(resources.pool)


def build(resources: TenantResources, reservations: Reservations) -> AllowancesCapability:
    """Build the capability. `reservations` frees units of reservations that have expired."""
    ledger = Ledger(resources.doors, reservations)
    return AllowancesCapability(
        name="allowances",
        servicers={_SERVICE: AllowanceServicer(ledger)},
        ledger=ledger,
        port=PostgresLedger(ledger),
    )
