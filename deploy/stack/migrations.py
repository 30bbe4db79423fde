"""Brings the schema of each service to its newest migration."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from pydantic import SecretStr

from tenantmesh.deploy.stack.blocking import run_blocking
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.programs.table import python_programs
from tenantmesh.runtime.migrations import MigrationRefused, Revisions, current_and_head, upgrade

__all__ = ["migrate", "owners", "revisions"]


_RIGHTS = "Run deploy/postgres/roles.sql in this database as a superuser, then `tenantmesh migrate` again."
_NEWER = "A newer version has migrated this database. Use that version or a later one."


def owners() -> dict[str, str]:
    """Return the packages that have migrations, each with the role that owns its schema."""
    return {program.module: f"{program.role}_owner" for program in python_programs() if program.migrates}


def migrate(url: SecretStr) -> dict[str, Revisions]:
    """Run the pending migrations, and return where each service's schema was and is.

    `url` logs in as the migrate role. Raises DatabaseError when the database can't be reached or does not let it in,
    and StackError when it refuses.
    """

    async def each() -> dict[str, Revisions]:
        return {_short(package): await upgrade(package, url, owner) for package, owner in owners().items()}

    return _run(each())


def revisions(url: SecretStr) -> dict[str, Revisions]:
    """Return where each service's schema is and where it should be. Changes nothing. Raises as `migrate` does."""

    async def each() -> dict[str, Revisions]:
        return {_short(package): await current_and_head(package, url, owner) for package, owner in owners().items()}

    return _run(each())


def _run(work: Coroutine[Any, Any, dict[str, Revisions]]) -> dict[str, Revisions]:
    try:
        return run_blocking(work)
    except MigrationRefused as error:
        raise StackError(
            f"the migrations are refused: {str(error).rstrip('.')}.", remedy=_NEWER if error.newer else _RIGHTS
        ) from error


def _short(package: str) -> str:
    return package.rpartition(".")[2]
