"""The wiring of balances: tables that several capabilities above them work on."""

from __future__ import annotations

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.tenant_svc.balances import tables

__all__ = ["PART", "build"]

PART = TenantPart(tables=(tables.grants, tables.ledger, tables.grant_burns, tables.gauges))


def build() -> Capability:
    """Build the capability."""
    return Capability(name="balances", part=PART)
