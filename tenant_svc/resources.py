"""The resources of tenant_svc's capabilities: the database, its doors, the pool of units, and settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.settings import EventSettings
from tenantmesh.interceptors.quotas import QuotaPool
from tenantmesh.runtime.database import Database
from tenantmesh.tenant_svc.settings import BrandingSettings, LifeSettings, LinkSettings, QuotaSettings

__all__ = ["TenantResources"]


@dataclass(frozen=True, kw_only=True)
class TenantResources:
    """Resources, made once per process. `pool` is None in a worker without a store: pooled units then count as used."""

    database: Database
    doors: Doors
    events: EventSettings
    quotas: QuotaSettings
    tenants: LifeSettings
    pool: QuotaPool | None
    branding: BrandingSettings = field(default_factory=BrandingSettings)
    links: LinkSettings = field(default_factory=LinkSettings)
    base_domain: str = ""
