"""The refusals about checks."""

from __future__ import annotations

import structlog

from tenantmesh.interceptors.errors import Internal
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["unreadable"]

_log = structlog.get_logger()


def unreadable(tenant_id: TenantId, cause: Exception) -> Internal:
    """Return the answer to the checks of one tenant of a batch, whose entitlements can't be read. Log the cause."""
    _log.error("a tenant's entitlements can't be read", tenant=str(tenant_id), exc_info=cause)
    return Internal("INTERNAL", "a tenant's entitlements can't be read")
