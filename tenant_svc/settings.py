"""The settings of tenant_svc and its worker: those of any process, those that services share, and those of its
capabilities."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from tenantmesh.chassis.jobs.settings import WorkerSettings
from tenantmesh.chassis.settings import EventSettings, MeshSettings, ServiceSettings
from tenantmesh.runtime.settings import Count, Duration, Group, Networks, listed, split_address

__all__ = [
    "LONGEST_GRACE",
    "BrandingSettings",
    "DomainSettings",
    "LifeSettings",
    "LinkSettings",
    "PurgeSettings",
    "QuotaSettings",
    "TenantSettings",
    "TenantWorkerSettings",
]


_Retention = Annotated[Duration, Field(ge=timedelta(days=7))]


class QuotaSettings(Group):
    """How long quotas keep rows that have ended: at least as long as request ids are promised to be remembered."""

    allocation_retention: _Retention = timedelta(days=90)
    period_retention: _Retention = timedelta(days=400)


_Region = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


LONGEST_GRACE = timedelta(days=3653)
"""How long a deleted tenant may be kept, and how long a former slug may lead to its tenant: ten years."""
_Grace = Annotated[Duration, Field(ge=timedelta(), le=LONGEST_GRACE)]


class LifeSettings(Group):
    """The life of tenants.

    regions: the regions that a tenant may live in. Without one, no tenant has a region.
    slug_grace: how long a former slug leads to its tenant.
    delete_grace: how long a deleted tenant can be brought back, unless its deletion says otherwise. Neither is longer
    than ten years.
    """

    regions: Annotated[tuple[_Region, ...], NoDecode, BeforeValidator(listed)] = ()
    slug_grace: _Grace = timedelta(days=30)
    delete_grace: _Grace = timedelta(days=30)


class BrandingSettings(Group):
    """The branding that is shown before sign-in.

    answer_time: answers leave at ticks this far apart, so that time tells nothing of tenants. Zero: as fast as it can.
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


_LABEL = re.compile(r"_?[a-z0-9](?:[a-z0-9-]{0,60}[a-z0-9])?")
_Port = Annotated[int, Field(ge=1, le=65535)]
_Positive = Annotated[Duration, Field(gt=timedelta())]


def _checked_label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError("write one label of the DNS in lower case, such as _tenantmesh")
    return text


def _resolver_address(text: str) -> tuple[str, int]:
    host, port = split_address(text.strip())
    ipaddress.ip_address(host)  # names of resolvers would need a resolver
    return host, port


def _checked_resolvers(text: str) -> str:
    for address in filter(None, text.split(",")):
        _resolver_address(address)
    return text


class DomainSettings(Group):
    """How login hosts and e-mail domains are proven and checked."""

    label: Annotated[str, AfterValidator(_checked_label)] = "_tenantmesh"
    max_login_hosts: Count = 100
    max_email_domains: Count = 100
    check_interval: _Positive = timedelta(days=1)
    grace: Annotated[Duration, Field(ge=timedelta())] = timedelta(days=7)
    verify_pause: Annotated[Duration, Field(ge=timedelta())] = timedelta(seconds=10)
    checks_at_once: Count = 4
    timeout: _Positive = timedelta(seconds=5)
    resolvers: Annotated[str, AfterValidator(_checked_resolvers)] = ""
    allowed_networks: Networks = ()
    http_port: _Port = 80
    https_port: _Port = 443
    allow_reserved: bool = False

    @property
    def resolver_addresses(self) -> list[tuple[str, int]]:
        """The addresses and ports of the DNS resolvers to ask; none for those of the system."""
        return [_resolver_address(address) for address in filter(None, self.resolvers.split(","))]


class TenantSettings(ServiceSettings):
    """The settings that tenant_svc reads from the environment; see `runtime.settings` for the names."""

    events: EventSettings = EventSettings()
    quotas: QuotaSettings = QuotaSettings()
    tenants: LifeSettings = LifeSettings()
    branding: BrandingSettings = BrandingSettings()
    links: LinkSettings = LinkSettings()
    domains: DomainSettings = DomainSettings()


class PurgeSettings(Group):
    """How the worker purges tenants. It purges none unless both `database_url` and `kek_file` are set, its own key for
    auth_svc (`mesh`) and the store (`redis`): their jobs then wait for a worker that has all of them.

    database_url: logs in as the role that deletes a purged tenant's rows.
    kek_file: the key that encrypts the keys that sign proofs.
    sign_for, publish_before: when a new key is made, and how long it is published before it signs.
    sweep_interval, retry_after: how often the worker looks for purges that no job has started, and when one that has
    failed or was cancelled is taken up again.
    """

    database_url: SecretStr | None = None
    kek_file: Path | None = None
    sign_for: Duration = timedelta(days=365)
    publish_before: Duration = timedelta(minutes=10)
    sweep_interval: Duration = timedelta(minutes=10)
    retry_after: Duration = timedelta(hours=1)


class _WorkerMeshSettings(MeshSettings):
    """The other services as the worker calls them. Without a key of its own it calls none."""

    credential: SecretStr = SecretStr("")


class TenantWorkerSettings(WorkerSettings):
    """The settings that the worker of tenant_svc reads from the environment."""

    mesh: _WorkerMeshSettings = _WorkerMeshSettings()
    purge: PurgeSettings = PurgeSettings()
    tenants: LifeSettings = LifeSettings()
    domains: DomainSettings = DomainSettings()

    @property
    def purges(self) -> bool:
        """Whether this worker purges tenants. Without the store it could not say that no key is left there."""
        own = self.purge.database_url and self.purge.kek_file and self.mesh.credential.get_secret_value()
        return bool(own and self.redis.url)
