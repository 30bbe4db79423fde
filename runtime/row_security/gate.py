"""The boot gate: a process refuses to serve from a database that does not isolate tenants as declared.

It reads the catalog, not our intentions: whatever migrations, an operator or a restore left behind is what counts.
What counts as a problem is in `findings`.
"""

from __future__ import annotations

import uuid
from importlib.resources import files

from sqlalchemy import MetaData, column, select, table, text

from tenantmesh.runtime.database import Connection, Database, InternalDatabaseError, Record, Statement, compiled
from tenantmesh.runtime.migrations import VERSION_TABLE, head
from tenantmesh.runtime.row_security import findings
from tenantmesh.runtime.row_security.declaration import declaration_of, library_schemas
from tenantmesh.runtime.row_security.purging import purger_of

__all__ = ["InsecureDatabase", "verify", "verify_purger"]


class InsecureDatabase(Exception):
    """The database is not safe to serve from. `problems` says what is wrong and what to do, one sentence each."""

    def __init__(self, schema: str, problems: list[str]) -> None:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"schema {schema!r} does not isolate tenants as declared; refusing to serve:{listed}")
        self.problems = problems


def _query(name: str) -> Statement:
    return compiled(
        text(files("tenantmesh.runtime.row_security").joinpath("catalog", f"{name}.sql").read_text(encoding="utf-8"))
    )


_TABLES, _POLICIES, _GRANTS = _query("tables"), _query("policies"), _query("grants")
_KEYS, _ROLE, _FUNCTIONS = _query("keys"), _query("role"), _query("functions")
_OF_A_LIBRARY = (_TABLES, _POLICIES, _GRANTS, _FUNCTIONS)
_REVISION = compiled(select(column("version_num").label("revision")).select_from(table(VERSION_TABLE)))


async def verify(database: Database, metadata: MetaData, *, package: str) -> None:
    """Compare the running database with the declarations of `metadata` and the migrations of `package`.

    Raises InsecureDatabase naming every difference, ValueError for a table that declares nothing, and DatabaseError
    when the catalog cannot be read.
    """
    tables = {declared.name: declared for declared in metadata.tables.values()}
    for declared in tables.values():
        declaration_of(declared)
    schema = database.schema
    # The catalog is the same for every tenant; one that nobody has keeps this inside the tenant door.
    async with database.tenant_transaction(uuid.uuid4(), read_only=True) as connection:
        role = await _role(connection, schema)
        found = await connection.fetch(_TABLES, schema=schema)
        problems = [
            *findings.role_problems(role, "tenant door"),
            *findings.app_role_problems(tables, role["name"]),
            *findings.revision_problems(await _revision(connection, found), head(package)),
            *findings.table_problems(tables, found),
            *findings.policy_problems(tables, await connection.fetch(_POLICIES, schema=schema), role["name"]),
            *findings.grant_problems(tables, await connection.fetch(_GRANTS, schema=schema)),
            *findings.key_problems(tables, await connection.fetch(_KEYS, schema=schema)),
            *findings.function_problems(await connection.fetch(_FUNCTIONS, schema=schema)),
        ]
        for library in library_schemas(metadata):
            rows = [await connection.fetch(query, schema=library.name) for query in _OF_A_LIBRARY]
            problems += findings.library_problems(library, *rows)
    if database.has_system_door:
        async with database.system_transaction("verify the role of the system door", read_only=True) as connection:
            problems += findings.role_problems(await _role(connection, schema), "system door")
    if problems:
        raise InsecureDatabase(schema, problems)


async def verify_purger(database: Database, metadata: MetaData) -> None:
    """Compare the role of a database that is opened for purging with the declared one.

    Raises InsecureDatabase, and DatabaseError when the catalog cannot be read.
    """
    purger = purger_of(metadata)
    async with database.tenant_transaction(uuid.uuid4(), read_only=True) as connection:
        role = await _role(connection, database.schema)
    problems = [*findings.role_problems(role, "purge door")]
    if purger is None or role["name"] != purger.role:
        wanted = "no role" if purger is None else purger.role
        problems.append(f"the purge door logs in as {role['name']}, and {wanted} purges tenants of this schema")
    if problems:
        raise InsecureDatabase(database.schema, problems)


async def _role(connection: Connection, schema: str) -> Record:
    role = await connection.fetch_row(_ROLE, schema=schema)
    if role is None:
        raise InternalDatabaseError(f"there is no schema {schema!r}: run roles.sql, then `tenantmesh migrate`")
    return role


async def _revision(connection: Connection, found: list[Record]) -> str | None:
    if all(row["name"] != VERSION_TABLE for row in found):
        return None
    row = await connection.fetch_row(_REVISION)
    return None if row is None else str(row["revision"])
