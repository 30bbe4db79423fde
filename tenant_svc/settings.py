"""The settings of tenant_svc: those of any process, those that services share, and the retention of quotas."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from tenantmesh.chassis.settings import EventSettings, ServiceSettings
from tenantmesh.runtime.settings import Duration, Group, listed

__all__ = ["LifeSettings", "QuotaSettings", "TenantSettings"]


_Retention = Annotated[Duration, Field(ge=timedelta(days=7))]


class QuotaSettings(Group):
    """How long quotas keep rows that have ended: at least as long as request ids are promised to be remembered."""

    allocation_retention: _Retention = timedelta(days=90)
    period_retention: _Retention = timedelta(days=400)


_Region = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class LifeSettings(Group):
    """The life of tenants.

    regions: the regions that a tenant may live in. Without one, no tenant has a region.
    slug_grace: how long a former slug leads to its tenant.
    delete_grace: how long a deleted tenant can be brought back, unless its deletion says otherwise.
    """

    regions: Annotated[tuple[_Region, ...], NoDecode, BeforeValidator(listed)] = ()
    slug_grace: Duration = timedelta(days=30)
    delete_grace: Duration = timedelta(days=30)


class TenantSettings(ServiceSettings):
    """The settings that tenant_svc reads from the environment; see `runtime.settings` for the names."""

    events: EventSettings = EventSettings()
    quotas: QuotaSettings = QuotaSettings()
    tenants: LifeSettings = LifeSettings()
