"""Brings both services' schemas to their newest migration."""

from pydantic import SecretStr

from deploy.embedded.blocking import run_blocking
from runtime.migrations import Revisions, current_and_head, upgrade

__all__ = ["migrate", "revisions"]

OWNERS = {"tenant_svc": "tenant_owner", "auth_svc": "auth_owner"}
"""Package with migrations → the role that owns what they make."""


def migrate(url: SecretStr) -> dict[str, Revisions]:
    """Runs what is pending, for each service; says where each schema was and is. `url` logs in as the migrate role."""

    async def each() -> dict[str, Revisions]:
        return {package: await upgrade(package, url, owner) for package, owner in OWNERS.items()}

    return run_blocking(each())


def revisions(url: SecretStr) -> dict[str, Revisions]:
    """Where each service's schema is and where it should be. Changes nothing."""

    async def each() -> dict[str, Revisions]:
        return {package: await current_and_head(package, url, owner) for package, owner in OWNERS.items()}

    return run_blocking(each())
