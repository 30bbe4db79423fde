"""The resources of auth_svc's capabilities: the database, the store, the key-encryption key and the tenants."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.auth_svc.settings import AuthSettings
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors import CallTracer, TenantDirectory
from tenantmesh.interceptors.tenants import TenantSource
from tenantmesh.runtime.encryption import KeyEncryptionKey
from tenantmesh.runtime.redis_client import StoreClient
from tenantmesh.runtime.telemetry import Telemetry

__all__ = ["AuthResources"]


@dataclass(frozen=True, kw_only=True)
class AuthResources:
    """Resources, made once per process. `telemetry` takes the metrics of capabilities.

    tenants: the cache of tenants that the chain fills. tenant_source: tenant_svc itself, asked anew.
    """

    settings: AuthSettings
    doors: Doors
    redis: StoreClient
    kek: KeyEncryptionKey
    tenants: TenantDirectory
    tenant_source: TenantSource
    telemetry: Telemetry
    tracer: CallTracer | None = None
