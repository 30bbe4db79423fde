"""The resources of tenant_svc's capabilities: the database, its doors, the pool of units, and settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.erasure import ErasureDoor
from tenantmesh.chassis.settings import EventSettings
from tenantmesh.interceptors.quotas import QuotaPool
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.encryption import KeyEncryptionKey
from tenantmesh.runtime.redis_client import StoreClient
from tenantmesh.tenant_svc.settings import (
    BrandingSettings,
    DomainSettings,
    LifeSettings,
    LinkSettings,
    PurgeSettings,
    QuotaSettings,
)

__all__ = ["PurgeResources", "TenantResources"]


@dataclass(frozen=True, kw_only=True)
class PurgeResources:
    """The resources with which a worker purges tenants.

    erasing: the door of the role that deletes rows. queue: the jobs' schema, as the role that works on jobs.
    kek: the key that encrypts the keys that sign proofs.
    """

    erasing: ErasureDoor
    queue: Database
    kek: KeyEncryptionKey
    settings: PurgeSettings


def _no_key() -> grpc.aio.Channel:
    raise LookupError("this process has no key of its own to call auth_svc with")


@dataclass(frozen=True, kw_only=True)
class TenantResources:
    """Resources, made once per process.

    pool, store: None in a worker without a store: pooled units then count as used.
    connect_auth: opens a channel to auth_svc, with the process's own key.
    purging: None in a process that purges no tenants.
    base_domain: the domain whose subdomains are slugs; empty where there is none, and in a worker.
    """

    database: Database
    doors: Doors
    events: EventSettings
    quotas: QuotaSettings
    tenants: LifeSettings
    pool: QuotaPool | None
    branding: BrandingSettings = field(default_factory=BrandingSettings)
    links: LinkSettings = field(default_factory=LinkSettings)
    domains: DomainSettings = field(default_factory=DomainSettings)
    base_domain: str = ""
    store: StoreClient | None = None
    connect_auth: Callable[[], grpc.aio.Channel] = _no_key
    purging: PurgeResources | None = None
