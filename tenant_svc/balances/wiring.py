"""The wiring of balances: tables that several capabilities above them work on."""

from __future__ import annotations

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.tenant_svc.balances import tables

__all__ = ["PART", "build"]

PART = TenantPart(
    tables=(tables.grants, tables.ledger, tables.grant_burns, tables.gauges, tables.leases),
    exported=(tables.grants, tables.ledger, tables.grant_burns, tables.gauges),
    not_exported={"quota_leases": "leased units return to the process that leased them, which is here"},
)


def build() -> Capability:
    """Build the capability."""
    return Capability(name="balances", part=PART)
