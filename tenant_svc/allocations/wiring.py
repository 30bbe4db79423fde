"""The wiring of reservations of allowances: allocate, commit, release, and the loop that ends expired ones."""

from __future__ import annotations

from datetime import timedelta

from tenantmesh.chassis.background import Repeating
from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant.v1 import quota_service_pb2
from tenantmesh.tenant_svc.allocations import tables
from tenantmesh.tenant_svc.allocations.allocations import Allocations, nothing_to_drain
from tenantmesh.tenant_svc.allocations.servicer import AllocationServicer
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.allowances.pool import PoolDrain
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["PART", "build"]

_SERVICE = quota_service_pb2.DESCRIPTOR.services_by_name["QuotaService"]
EXPIRY_INTERVAL = timedelta(seconds=1)
"""The interval at which expired reservations are ended. A request that is short of units releases them at once."""
PART = TenantPart(
    tables=(tables.allocations, tables.allocation_items),
    not_exported={
        "allocations": "a reservation ends within a day, and its caller is here",
        "allocation_items": "they belong to reservations",
    },
)


def build(resources: TenantResources, ledger: Ledger) -> Capability:
    """Build the capability."""
    drain = nothing_to_drain if resources.pool is None else PoolDrain(resources.pool, ledger)
    allocations = Allocations(resources.doors, ledger, uuid7, drain)
    return Capability(
        name="allocations",
        servicers={_SERVICE: AllocationServicer(allocations)},
        background=[Repeating("quota-expiry", allocations.expire, EXPIRY_INTERVAL)],
        part=PART,
    )
