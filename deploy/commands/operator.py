"""`tenantmesh operator`: the keys of operators and services, straight on the database."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from tenantmesh.auth_svc.api_keys.bootstrap import create_key, list_keys, revoke_key
from tenantmesh.auth_svc.api_keys.system_key import LONGEST_LIFETIME, SystemKey, counting
from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.options import DEFAULT_STATE, JsonOption, StateOption
from tenantmesh.deploy.stack import keys
from tenantmesh.deploy.stack.blocking import run_blocking
from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.programs.table import LIBRARY_PERMISSIONS, python_programs
from tenantmesh.deploy.stack.supervision.record import running
from tenantmesh.interceptors.caller import UsageScope
from tenantmesh.runtime.settings import DatabaseSettings

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Keys of operators and services.")
URL_VARIABLE = "TENANTMESH_DATABASE_SYSTEM_URL"
_LONGEST = LONGEST_LIFETIME.days
_ABOUT_PERMISSIONS = "Such as tenants.read, or '*' for all; repeat it."
_ABOUT_METERS = "A METERED feature that the key may lease and reserve, or '*' for all; repeat it."
_ABOUT_GAUGES = "A GAUGE feature whose levels the key may set, or '*' for all; repeat it."
_UNNAMED = "Operators' keys may use all unless told."


def _needs() -> str:
    """Return the permissions that the key of each service must have."""
    programs = {program.name: program.permissions or () for program in python_programs()}
    return _in_words({**programs, "A service of yours": LIBRARY_PERMISSIONS})


def _needed_usage(kind: Callable[[UsageScope], Collection[str]]) -> str:
    """Return the meters or the gauges that the key of each service must name."""
    return _in_words({program.name: sorted(kind(program.usage)) for program in python_programs()})


def _in_words(needed: Mapping[str, Sequence[str]]) -> str:
    return " ".join(f"{name} needs {', '.join(names)}." for name, names in needed.items() if names)


class Audience(StrEnum):
    """Which kind of caller a key makes."""

    OPERATOR = "operator"
    SERVICE = "service"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The holder of the key. Keys of one name share its request ids.")],
    permission: Annotated[list[str] | None, typer.Option(help=f"{_ABOUT_PERMISSIONS} {_needs()}")] = None,
    meter: Annotated[
        list[str] | None, typer.Option(help=f"{_ABOUT_METERS} {_UNNAMED} {_needed_usage(attrgetter('meters'))}")
    ] = None,
    gauge: Annotated[
        list[str] | None, typer.Option(help=f"{_ABOUT_GAUGES} {_UNNAMED} {_needed_usage(attrgetter('gauges'))}")
    ] = None,
    audience: Annotated[Audience, typer.Option(help="The kind of caller.")] = Audience.OPERATOR,
    days: Annotated[int | None, typer.Option(help="Days until the key expires.", min=1, max=_LONGEST)] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Let the key never expire.")] = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Create a key and print it. It is shown only once; its id is printed beside it, on standard error."""
    if not permission:
        raise StackError(
            "the key has no permission.", remedy="Give it some with --permission, or all: --permission '*'"
        )
    if (days is None) is not forever:
        raise StackError("how long is the key valid?", remedy="Give it an end (--days 90), or none (--forever).")
    lifetime = timedelta(days=days) if days else None
    console = Console()
    made_for = audience.value.upper()
    made = create_key(
        _settings(state), name, made_for, permission, lifetime, meters=meter or None, gauges=gauge or None
    )
    key = run_blocking(made)
    until = f"valid for {days} days" if days else "valid until it is revoked"
    console.aside(f"made {keys.id_of(key)} for {name}, {until}; this is the only time that the key is shown")
    console.plain(key)


@app.command("list")
def list_all(state: StateOption = DEFAULT_STATE, as_json: JsonOption = False) -> None:
    """Print every key without its secret: id, kind, name, permissions, meters and gauges, state."""
    console, found = Console(), run_blocking(list_keys(_settings(state)))
    if as_json:
        console.json([_encoded(key) for key in found])
        return
    for key in found:
        console.plain(f"{key.id}  {key.audience.value:<9} {key.name:<20} {_grants(key):<30} {_state(key)}")


@app.command()
def revoke(
    key_id: Annotated[uuid.UUID, typer.Argument(help="The key's id, as `list` prints it.")],
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Revoke a key. Running processes may accept it for up to one more second."""
    if not run_blocking(revoke_key(_settings(state), key_id)):
        raise StackError(f"there is no valid key {key_id}.", remedy="See tenantmesh operator list")
    Console().note(f"revoked {key_id}")


def _encoded(key: SystemKey) -> dict[str, object]:
    return {
        "id": str(key.id),
        "audience": key.audience.value,
        "name": key.name,
        "permissions": list(key.permissions),
        "meters": sorted(key.usage.meters),
        "gauges": sorted(key.usage.gauges),
        "valid": key.is_valid(datetime.now(UTC)),
        "createTime": key.create_time.isoformat(),
        "expireTime": key.expire_time.isoformat() if key.expire_time else None,
        "revokeTime": key.revoke_time.isoformat() if key.revoke_time else None,
    }


def _grants(key: SystemKey) -> str:
    """Return what the key may do. Meters and gauges stand behind the permissions that need them."""
    parts = [",".join(key.permissions)]
    for kind, named in (("meter", key.usage.meters), ("gauge", key.usage.gauges)):
        if counting(kind, key.permissions) and key.permissions != ("*",):
            parts.append(f"{kind}s={','.join(sorted(named))}")
    return " ".join(parts)


def _state(key: SystemKey) -> str:
    if key.revoke_time:
        return f"revoked {key.revoke_time:%Y-%m-%d %H:%M}"
    if not key.is_valid(datetime.now(UTC)):
        return f"expired {key.expire_time:%Y-%m-%d %H:%M}"
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
