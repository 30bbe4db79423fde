"""`tenantmesh migrate`: brings the database to the newest migrations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.options import DEFAULT_STATE, JsonOption, StateOption
from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.migrations import migrate as run_migrations
from tenantmesh.deploy.stack.migrations import revisions
from tenantmesh.deploy.stack.supervision.record import running
from tenantmesh.runtime.migrations import Revisions

__all__ = ["migrate"]

URL_VARIABLE = "TENANTMESH_DATABASE_MIGRATE_URL"


def migrate(
    state: StateOption = DEFAULT_STATE,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 when something is pending.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run pending migrations on TENANTMESH_DATABASE_MIGRATE_URL, or on the stack that runs here."""
    console = Console()
    url = migrate_url(state)
    done = revisions(url) if check else run_migrations(url)
    if as_json:
        console.json([_encoded(package, revision) for package, revision in done.items()])
    else:
        for package, revision in done.items():
            before = revision.current or "nothing"
            step = f"{before} -> {revision.head}" if revision.pending else f"at {revision.head}, its newest"
            console.note(f"{package}: {step}")
    if check and any(revision.pending for revision in done.values()):
        raise typer.Exit(1)


def _encoded(package: str, revision: Revisions) -> dict[str, object]:
    """Return the JSON of a schema. `pending`: before this command ran there was something to do."""
    return {"service": package, "before": revision.current, "newest": revision.head, "pending": revision.pending}


def migrate_url(state: Path) -> SecretStr:
    """Return the migrate role's URL. Raises StackError when there is no database to migrate."""
    if url := os.environ.get(URL_VARIABLE):
        return SecretStr(url)
    if running(state) is None:
        raise StackError(
            f"there is no database to migrate: {URL_VARIABLE} is not set and nothing runs in {state}.",
            remedy="Set the variable, or start the stack: tenantmesh dev",
        )
    return Engines(state).postgres.url("tenantmesh_migrate")
