"""The settings of tenant_svc: those of any process, the mesh around it, and how events and quotas are kept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from tenantmesh.interceptors.limits import parse_rates
from tenantmesh.interceptors.links.authentication import parse_identities
from tenantmesh.runtime.settings import Duration, Group, Networks, ProcessSettings

__all__ = ["EventSettings", "MeshSettings", "QuotaSettings", "TenantSettings", "TokenSettings"]


def _checked_rates(text: str) -> str:
    parse_rates(text)
    return text


def _checked_identities(text: str) -> str:
    parse_identities(text)
    return text


Retention = Annotated[Duration, Field(ge=timedelta(days=7))]


class MeshSettings(Group):
    """The mesh as this service sees it. `credential` is its own key (`tmk_…`), by which auth_svc knows it."""

    tenant_target: str = "127.0.0.1:50051"
    auth_target: str = "127.0.0.1:50052"
    credential: SecretStr
    base_domain: str = ""
    trusted_proxies: Networks = ()
    rates: Annotated[str, AfterValidator(_checked_rates)] = ""
    tls_ca: Path | None = None
    identities: Annotated[str, AfterValidator(_checked_identities)] = ""


class TokenSettings(Group):
    """What access tokens must say, as auth_svc is configured."""

    issuer: str = "http://127.0.0.1:8080"
    audience: str = "tenantmesh"


class EventSettings(Group):
    """How the tenant event log is followed and kept.

    `window` counts the newest events that a process remembers, so how far a stream's reader may lag. Without a
    `retention` every event is kept; with one, a cursor older than it is answered with CURSOR_EXPIRED.
    """

    poll_interval: Duration = timedelta(seconds=2)
    checkpoint_interval: Duration = timedelta(seconds=2)
    lost_after: Duration = timedelta(seconds=5)
    window: int = Field(default=10_000, ge=1)
    retention: Duration | None = None
    prune_interval: Duration = timedelta(minutes=1)


class QuotaSettings(Group):
    """How long quotas remember what is over. Never shorter than request ids are promised to be remembered."""

    allocation_retention: Retention = timedelta(days=90)
    period_retention: Retention = timedelta(days=400)


class TenantSettings(ProcessSettings):
    """Everything tenant_svc reads from the environment; see `runtime.settings` for the names."""

    mesh: MeshSettings
    tokens: TokenSettings = TokenSettings()
    events: EventSettings = EventSettings()
    quotas: QuotaSettings = QuotaSettings()
