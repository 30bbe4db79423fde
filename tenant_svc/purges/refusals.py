"""The refusals of purges."""

from __future__ import annotations

from collections.abc import Collection

from tenantmesh.interceptors.errors import FailedPrecondition, NotFound
from tenantmesh.interceptors.names import in_metadata, in_words

__all__ = ["children_left", "data_left", "not_deleted", "purge_not_found", "purge_under_way"]


def not_deleted() -> FailedPrecondition:
    """Return the refusal to purge a tenant that is not deleted, or not any more."""
    return FailedPrecondition("TENANT_NOT_DELETED", "The tenant is not deleted. Call DeleteTenant first.")


def children_left() -> FailedPrecondition:
    """Return the refusal to purge a tenant before those below it."""
    return FailedPrecondition(
        "TENANT_HAS_CHILDREN", "Other tenants, deleted or not, have this one as their parent. Purge those first."
    )


def purge_under_way(operation: str) -> FailedPrecondition:
    """Return the refusal to purge a tenant twice at once. The operation's name is empty when unknown."""
    return FailedPrecondition(
        "PURGE_UNDER_WAY",
        "The tenant is being purged. Wait for the operation in the metadata, or for its proof.",
        metadata={"operation": operation} if operation else {},
    )


def purge_not_found() -> NotFound:
    """Return the refusal for a tenant without a proof."""
    return NotFound(
        "PURGE_NOT_FOUND",
        "There is no proof that this tenant was purged. Check the id, and the operation of its purge.",
    )


def data_left(tables: Collection[str]) -> FailedPrecondition:
    """Return the outcome of a purge that leaves something behind."""
    listed = sorted(tables)
    return FailedPrecondition(
        "TENANT_DATA_LEFT",
        f"No proof was signed, since something of the tenant is left in {in_words(listed)}. Remove it, or update to a "
        "version whose purge knows it; the purge is then taken up again.",
        metadata=in_metadata("tables", listed),
    )
