"""Refusals that several use cases of tenants share, with their checks, and the lock that each of them begins with."""

from __future__ import annotations

from tenantmesh.chassis.requests import stale
from tenantmesh.interceptors.errors import AlreadyExists, FailedPrecondition, NotFound
from tenantmesh.interceptors.tenants import TenantId, no_such_tenant
from tenantmesh.runtime.database import Connection, UniqueViolation
from tenantmesh.tenant_svc.tenants import repository, slugs_repository
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = [
    "MOST_SLUGS",
    "below_deleted",
    "external_id_taken",
    "locked",
    "name_taken",
    "parent_not_found",
    "refuse_more_slugs",
    "slug_taken",
    "with_children",
]

MOST_SLUGS = 100
"""The slugs that one tenant may have taken, former ones included: each is lost to all others."""


async def locked(connection: Connection, tenant_id: TenantId, etag: str) -> Tenant:
    """Lock the tenant's row and return the tenant. Raises NotFound, Aborted `ETAG_MISMATCH`."""
    tenant = await repository.get_locked(connection, tenant_id)
    if tenant is None:
        raise no_such_tenant()
    if etag and etag != tenant.etag:
        raise stale("tenant")
    return tenant


async def refuse_more_slugs(connection: Connection, tenant_id: TenantId, slug: str) -> None:
    """Raise FailedPrecondition `TOO_MANY_SLUGS` for a slug that would be one too many. A former one of its own never is
    one."""
    taken = {name for name, _ in await slugs_repository.slugs_of(connection, tenant_id)}
    if slug not in taken and len(taken) >= MOST_SLUGS:
        raise FailedPrecondition(
            "TOO_MANY_SLUGS",
            f"The tenant has had {MOST_SLUGS} slugs, and may have no more. Give it back one of its former slugs.",
            metadata={"limit": str(MOST_SLUGS)},
        )


def name_taken(violation: UniqueViolation) -> AlreadyExists:
    """Return the refusal of the name that another tenant has."""
    return external_id_taken() if violation.constraint == "tenants_external_id_key" else slug_taken()


def slug_taken() -> AlreadyExists:
    """Return the refusal of a slug."""
    return AlreadyExists("SLUG_TAKEN", "Another tenant has this slug, or had it before. Choose another.")


def external_id_taken() -> AlreadyExists:
    """Return the refusal of an external id."""
    return AlreadyExists(
        "EXTERNAL_ID_TAKEN",
        "Another tenant has this external_id, which may be deleted and not purged yet. List tenants to find it.",
    )


def parent_not_found() -> NotFound:
    """Return the refusal of a parent that is missing or deleted."""
    return NotFound("PARENT_NOT_FOUND", "parent_id names no tenant. Send the id of one that exists.")


def with_children() -> FailedPrecondition:
    """Return the refusal of deleting a tenant that has others below it."""
    return FailedPrecondition("TENANT_HAS_CHILDREN", "Other tenants have this one as their parent. Delete those first.")


def below_deleted() -> FailedPrecondition:
    """Return the refusal of bringing a tenant back whose parent is deleted."""
    return FailedPrecondition("PARENT_DELETED", "The tenant's parent is deleted. Undelete the parent first.")
