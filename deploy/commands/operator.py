"""`tenantmesh operator`: the keys of operators and services, straight on the database."""

from __future__ import annotations

import os
import uuid
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from tenantmesh.auth_svc.api_keys.bootstrap import create_key, list_keys, revoke_key
from tenantmesh.auth_svc.api_keys.system_key import SystemKey
from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.options import DEFAULT_STATE, StateOption
from tenantmesh.deploy.stack import keys
from tenantmesh.deploy.stack.blocking import run_blocking
from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.supervision.record import running
from tenantmesh.runtime.settings import DatabaseSettings

__all__ = ["Audience", "app"]

app = typer.Typer(no_args_is_help=True, help="Keys of operators and services.")
URL_VARIABLE = "TENANTMESH_DATABASE_SYSTEM_URL"


class Audience(StrEnum):
    """Which kind of caller a key makes."""

    OPERATOR = "operator"
    SERVICE = "service"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The holder of the key. Keys of one name share its request ids.")],
    permission: Annotated[list[str] | None, typer.Option(help="Such as tenants.read; repeat it. None: all.")] = None,
    audience: Annotated[Audience, typer.Option(help="The kind of caller.")] = Audience.OPERATOR,
    days: Annotated[int | None, typer.Option(help="Days until the key expires. None: never.", min=1)] = None,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Make a key and print it, once and for all: it can't be read again."""
    lifetime = timedelta(days=days) if days else None
    work = create_key(_settings(state), name, audience.value.upper(), permission or ["*"], lifetime)
    Console().plain(run_blocking(work))


@app.command("list")
def list_all(state: StateOption = DEFAULT_STATE) -> None:
    """Print every key without its secret: id, kind, name, permissions, state."""
    console = Console()
    for key in run_blocking(list_keys(_settings(state))):
        console.plain(f"{key.id}  {key.audience.value:<9} {key.name:<20} {','.join(key.permissions):<30} {_state(key)}")


@app.command()
def revoke(
    key_id: Annotated[uuid.UUID, typer.Argument(help="The key's id, as `list` prints it.")],
    state: StateOption = DEFAULT_STATE,
) -> None:
    """End a key. Processes that know it believe it for a second more at most."""
    if not run_blocking(revoke_key(_settings(state), key_id)):
        raise StackError(f"there is no valid key {key_id}.", remedy="See tenantmesh operator list")
    Console().note(f"revoked {key_id}")


def _state(key: SystemKey) -> str:
    if key.revoke_time:
        return f"revoked {key.revoke_time:%Y-%m-%d %H:%M}"
    return f"expires {key.expire_time:%Y-%m-%d}" if key.expire_time else "valid"


def _settings(state: Path) -> DatabaseSettings:
    """Return the database of TENANTMESH_DATABASE_SYSTEM_URL (role auth_directory), or of the stack that runs here."""
    if url := os.environ.get(URL_VARIABLE):
        return DatabaseSettings(system_url=SecretStr(url))
    if running(state) is None:
        raise StackError(
            f"there is no database with keys: {URL_VARIABLE} is not set and nothing runs in {state}.",
            remedy="Set the variable to the auth_directory role's URL, or start the stack: tenantmesh dev",
        )
    return keys.settings(Engines(state).postgres)
