"""The refusals of purges."""

from __future__ import annotations

from collections.abc import Collection

from tenantmesh.interceptors.errors import FailedPrecondition
from tenantmesh.interceptors.names import in_metadata, in_words

__all__ = ["not_set_up", "tables_unknown", "tenant_served"]


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


def tables_unknown(tables: Collection[str]) -> FailedPrecondition:
    """Return the refusal of a process that can't read tables in which a tenant may have rows."""
    return FailedPrecondition(
        "PURGE_NOT_SET_UP",
        f"auth_svc can't read {in_words(sorted(tables))}, where the tenant may have rows. Run `tenantmesh migrate`, or "
        "update to a version whose purge knows it.",
        metadata=in_metadata("tables", sorted(tables)),
    )
