"""Alembic, run by program: no ini file, one env.py for all services, one schema and one version table per service.

A service keeps `migrations/versions/*.py` in its package; a migration uses `alembic.op` and `row_security.ddl`. All
pending migrations run in one transaction: a failed one leaves the schema as it was. `script` runs several statements
at once, where `op.execute` takes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import asyncpg
from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from pydantic import SecretStr
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tenantmesh.runtime import locks
from tenantmesh.runtime.database import DatabaseUnavailable, InternalDatabaseError, connect, translated

__all__ = [
    "VERSION_POLICY",
    "VERSION_TABLE",
    "MigrationRefused",
    "Revisions",
    "current_and_head",
    "demand_role",
    "head",
    "schema_of",
    "script",
    "upgrade",
]

VERSION_TABLE = "alembic_version"
VERSION_POLICY = "version_read"
"""The policy on that table: the service's role reads it. Its owner is bound by none, so that migrations can write."""

_DDL_LOCK_TIMEOUT = "5s"  # a migration that waits for a lock makes every later query wait behind it
_IS_ENABLED = text("SELECT relrowsecurity FROM pg_catalog.pg_class WHERE oid = to_regclass(:versions)")
_ENVIRONMENT = "tenantmesh.runtime.migration_environment"


@dataclass(frozen=True, slots=True)
class Revisions:
    """Where a schema is and where it should be; None is the empty schema."""

    current: str | None
    head: str | None

    @property
    def pending(self) -> bool:
        """Whether `upgrade` would do anything."""
        return self.current != self.head


class MigrationRefused(InternalDatabaseError):
    """The database, or alembic, refused to migrate or to say where the schema is. The message has its words.

    newer: the schema is at a migration that this version does not have.
    """

    newer = False


def schema_of(owner: str) -> str:
    """Return the schema that an owner role owns: `tenant` for `tenant_owner`."""
    schema = owner.removesuffix("_owner")
    if schema == owner or not schema.isidentifier():
        raise ValueError(f"{owner!r} is no owner role; owner roles are called <schema>_owner")
    return schema


def head(package: str) -> str | None:
    """Return the newest migration that a package ships. Raises alembic's CommandError when there are several."""
    return ScriptDirectory.from_config(_config(package)).get_current_head()


def script(statements: str) -> None:
    """Run statements with semicolons between them, as they are written. For use in a migration."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda raw: raw.execute(statements))


def demand_role(role: str) -> None:
    """Raise RuntimeError, which says what to do, unless the server has the role. For use in a migration."""
    if not op.get_bind().scalar(text("SELECT true FROM pg_catalog.pg_roles WHERE rolname = :role"), {"role": role}):
        raise RuntimeError(f"there is no role {role}: run deploy/postgres/roles.sql again as a superuser, then migrate")


async def upgrade(package: str, url: SecretStr, owner: str) -> Revisions:
    """Bring the owner's schema to the newest migration of `package`, as that owner; return where it was and is now.

    `url` logs in as the migrate role. Runs in one transaction under an advisory lock: callers in parallel take turns,
    and the later ones find nothing to do. Raises a DatabaseError; MigrationRefused says why in the server's words.
    """
    return await _in_schema(url, owner, lambda connection: _upgrade(connection, package, schema_of(owner)))


async def current_and_head(package: str, url: SecretStr, owner: str) -> Revisions:
    """Return which migration the owner's schema is at, and which one `package` needs. Changes nothing.

    Raises a DatabaseError, as `upgrade` does.
    """

    def read(connection: Connection) -> Revisions:
        return Revisions(_context(connection, schema_of(owner)).get_current_revision(), head(package))

    return await _in_schema(url, owner, read)


async def _in_schema(url: SecretStr, owner: str, work: Callable[[Connection], Revisions]) -> Revisions:
    async def open_connection() -> Any:
        try:
            return await connect(url)
        except Exception as error:
            raise translated(error) from error

    engine = create_async_engine("postgresql+asyncpg://", async_creator=open_connection, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SET LOCAL ROLE {owner}"))
            await connection.execute(text(f"SET LOCAL search_path = {schema_of(owner)}, pg_catalog"))
            return await connection.run_sync(work)
    except (DBAPIError, CommandError) as error:
        raise _refusal(error) from error
    finally:
        await engine.dispose()


def _refusal(error: DBAPIError | CommandError) -> InternalDatabaseError | DatabaseUnavailable:
    """Return our error for one of SQLAlchemy or alembic, in the server's words: migrations hold no rows."""
    told = next((each for each in _causes(error) if isinstance(each, asyncpg.PostgresError)), None)
    if told is None:
        refusal = MigrationRefused(str(error).strip())
        refusal.newer = isinstance(error, CommandError)
        return refusal
    meaning = translated(told)
    if isinstance(meaning, DatabaseUnavailable):
        return meaning
    return MigrationRefused(f"{told} (SQLSTATE {told.sqlstate})")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _upgrade(connection: Connection, package: str, schema: str) -> Revisions:
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text(f"SELECT pg_advisory_xact_lock({locks.MIGRATIONS}, hashtext('{schema}'))"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{_DDL_LOCK_TIMEOUT}'"))
    before = _context(connection, schema).get_current_revision()
    config = _config(package)
    config.attributes["options"] = {"connection": connection, **_options(schema)}
    command.upgrade(config, "head")
    _let_the_service_read(connection, f"{schema}.{VERSION_TABLE}", f"{schema}_app")
    return Revisions(before, head(package))


def _let_the_service_read(connection: Connection, versions: str, app: str) -> None:
    """Grant the table of versions to the service, under row-level security as every table. Changes nothing again."""
    connection.execute(text(f"GRANT SELECT ON {versions} TO {app}"))
    if not connection.scalar(_IS_ENABLED, {"versions": versions}):
        connection.execute(text(f"ALTER TABLE {versions} ENABLE ROW LEVEL SECURITY"))
        connection.execute(text(f"CREATE POLICY {VERSION_POLICY} ON {versions} FOR SELECT TO {app} USING (true)"))


def _context(connection: Connection, schema: str) -> MigrationContext:
    return MigrationContext.configure(connection, opts=_options(schema))


def _options(schema: str) -> dict[str, Any]:
    return {"version_table": VERSION_TABLE, "version_table_schema": schema}


def _config(package: str) -> Config:
    """Return the configuration that an ini file would hold."""
    config = Config()
    config.set_main_option("script_location", str(files(_ENVIRONMENT)))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", str(files(package).joinpath("migrations", "versions")))
    return config
