"""Brings both services' schemas to their newest migration."""

from __future__ import annotations

from pydantic import SecretStr

from tenantmesh.deploy.embedded.blocking import run_blocking
from tenantmesh.runtime.migrations import Revisions, current_and_head, upgrade

__all__ = ["migrate", "revisions"]

OWNERS = {"tenant_svc": "tenant_owner", "auth_svc": "auth_owner"}
"""Service, by the name of its package below `tenantmesh` → the role that owns what they make."""


def migrate(url: SecretStr) -> dict[str, Revisions]:
    """Runs what is pending, for each service; says where each schema was and is. `url` logs in as the migrate role."""

    async def each() -> dict[str, Revisions]:
        return {name: await upgrade(f"tenantmesh.{name}", url, owner) for name, owner in OWNERS.items()}

    return run_blocking(each())


def revisions(url: SecretStr) -> dict[str, Revisions]:
    """Where each service's schema is and where it should be. Changes nothing."""

    async def each() -> dict[str, Revisions]:
        return {
            package: await current_and_head(f"tenantmesh.{package}", url, owner) for package, owner in OWNERS.items()
        }

    return run_blocking(each())
