"""The refusals about checks."""

from __future__ import annotations

import structlog

from tenantmesh.interceptors.errors import FailedPrecondition, Internal
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["batch_too_large", "unreadable"]

_log = structlog.get_logger()


def unreadable(tenant_id: TenantId, cause: Exception) -> Internal:
    """Return the answer to the checks of one tenant of a batch, whose entitlements can't be read. Log the cause."""
    _log.error("a tenant's entitlements can't be read", tenant=str(tenant_id), exc_info=cause)
    return Internal("INTERNAL", "a tenant's entitlements can't be read")


def batch_too_large(asked: int, fits: int) -> FailedPrecondition:
    """Return the refusal of a batch whose answers do not fit into one message; those of its first `fits` checks do."""
    return FailedPrecondition(
        "BATCH_TOO_LARGE",
        f"The answers to these {asked} checks do not fit into one message; those to the first {fits} do. Send at most "
        "that many at once.",
        metadata={"checks": str(asked), "fits": str(fits)},
    )
