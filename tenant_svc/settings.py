"""The settings of tenant_svc: those of any process, those that services share, and the retention of quotas."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from tenantmesh.chassis.settings import EventSettings, ServiceSettings
from tenantmesh.runtime.settings import Duration, Group

__all__ = ["QuotaSettings", "TenantSettings"]


_Retention = Annotated[Duration, Field(ge=timedelta(days=7))]


class QuotaSettings(Group):
    """How long quotas keep rows that have ended: at least as long as request ids are promised to be remembered."""

    allocation_retention: _Retention = timedelta(days=90)
    period_retention: _Retention = timedelta(days=400)


class TenantSettings(ServiceSettings):
    """The settings that tenant_svc reads from the environment; see `runtime.settings` for the names."""

    events: EventSettings = EventSettings()
    quotas: QuotaSettings = QuotaSettings()
