"""The settings of tenant_svc: those of any process, those that services share, and those of its capabilities."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from tenantmesh.chassis.settings import EventSettings, ServiceSettings
from tenantmesh.runtime.settings import Duration, Group, listed

__all__ = ["BrandingSettings", "LifeSettings", "LinkSettings", "QuotaSettings", "TenantSettings"]


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


class BrandingSettings(Group):
    """The branding that is shown before sign-in.

    answer_time: every answer takes a multiple of it, so that time tells nothing of tenants. Zero: as fast as it can.
    max_age: how long caches of clients and proxies may keep an answer.
    """

    answer_time: Annotated[Duration, Field(ge=timedelta(), le=timedelta(seconds=1))] = timedelta(milliseconds=25)
    max_age: Annotated[Duration, Field(ge=timedelta(), le=timedelta(days=1))] = timedelta(minutes=1)


def _checked_page(text: str) -> str:
    if not _PAGE.fullmatch(text):
        raise ValueError("write the address of a page such as https://app.example.com/set-up, without #")
    return text


_PAGE = re.compile(r"https?://[^/?#\s@]+(/[^#\s]*)?")


class LinkSettings(Group):
    """Set-up links. `page` is the address that they lead to: a page of your product, which reads the fragment.
    `lifetime` is how long a link works that was made without one."""

    page: Annotated[str, AfterValidator(_checked_page)] = "http://127.0.0.1:8080/set-up"
    lifetime: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = timedelta(minutes=5)


class TenantSettings(ServiceSettings):
    """The settings that tenant_svc reads from the environment; see `runtime.settings` for the names."""

    events: EventSettings = EventSettings()
    quotas: QuotaSettings = QuotaSettings()
    tenants: LifeSettings = LifeSettings()
    branding: BrandingSettings = BrandingSettings()
    links: LinkSettings = LinkSettings()
