"""The wiring of quota retention: the loops that delete reservations and periods that ended long ago."""

from __future__ import annotations

from datetime import timedelta

from tenantmesh.chassis.background import Repeating
from tenantmesh.chassis.capability import Capability
from tenantmesh.tenant_svc.quota_retention.retention import Retention
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["build"]

INTERVAL = timedelta(minutes=10)
"""The interval at which rows past their retention are deleted."""


def build(resources: TenantResources) -> Capability:
    """Build the capability."""
    retention = Retention(resources.doors, resources.quotas)
    return Capability(
        name="quota_retention",
        background=[
            Repeating("allocation-retention", retention.forget_allocations, INTERVAL),
            Repeating("period-retention", retention.forget_periods, INTERVAL),
        ],
    )
