"""The refusals of purges."""

from __future__ import annotations

from tenantmesh.interceptors.errors import FailedPrecondition

__all__ = ["not_set_up", "tenant_served"]


def tenant_served() -> FailedPrecondition:
    """Return the refusal for a tenant that is not deleted."""
    return FailedPrecondition(
        "TENANT_SERVED", "The tenant is not deleted, so its data is not destroyed. Call DeleteTenant first."
    )


def not_set_up() -> FailedPrecondition:
    """Return the refusal of a process without a database role to purge with."""
    return FailedPrecondition(
        "PURGE_NOT_SET_UP",
        "auth_svc has no database role to purge with. Set TENANTMESH_PURGE_DATABASE_URL to log in as auth_purger.",
    )
