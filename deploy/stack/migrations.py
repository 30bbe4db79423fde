"""Brings the schema of each service to its newest migration."""

from __future__ import annotations

from pydantic import SecretStr

from tenantmesh.deploy.stack.blocking import run_blocking
from tenantmesh.deploy.stack.programs.table import python_programs
from tenantmesh.runtime.migrations import Revisions, current_and_head, upgrade

__all__ = ["migrate", "owners", "revisions"]


def owners() -> dict[str, str]:
    """Return the packages that have migrations, each with the role that owns its schema."""
    return {program.module: f"{program.role}_owner" for program in python_programs() if program.migrates}


def migrate(url: SecretStr) -> dict[str, Revisions]:
    """Run the pending migrations, and return where each service's schema was and is.

    `url` logs in as the migrate role.
    """

    async def each() -> dict[str, Revisions]:
        return {_short(package): await upgrade(package, url, owner) for package, owner in owners().items()}

    return run_blocking(each())


def revisions(url: SecretStr) -> dict[str, Revisions]:
    """Return where each service's schema is and where it should be. Changes nothing."""

    async def each() -> dict[str, Revisions]:
        return {_short(package): await current_and_head(package, url, owner) for package, owner in owners().items()}

    return run_blocking(each())


def _short(package: str) -> str:
    return package.rpartition(".")[2]
