"""The refusals that speak of tenants."""

from __future__ import annotations

from tenantmesh.interceptors.errors import AlreadyExists, NotFound

__all__ = ["slug_taken", "tenant_not_found"]


def tenant_not_found() -> NotFound:
    """For a tenant that is missing, deleted or foreign: word for word as the chain answers."""
    return NotFound("TENANT_NOT_FOUND", "No such tenant. Check the id or slug.")


def slug_taken() -> AlreadyExists:
    """For a slug that another tenant has."""
    return AlreadyExists("SLUG_TAKEN", "Another tenant has this slug. Choose another.")
