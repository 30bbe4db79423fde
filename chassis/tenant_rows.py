"""The rows of one tenant over all tables of a service: counted, deleted in batches, and looked for in the catalog.

The tables are those of the service's parts of a tenant, children before parents. The catalog of the database has the
last word: it also knows a table that no part names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Table,
    Text,
    bindparam,
    column,
    delete,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy import table as table_of
from sqlalchemy.sql.expression import TableClause

from tenantmesh.chassis.capability import TenantPart
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, InternalDatabaseError, Statement, compiled
from tenantmesh.runtime.row_security import TenantOwned, declaration_of

__all__ = ["TenantRows"]

_ctid: ColumnElement[str] = literal_column("ctid")
# A table under row-level security shows the role nothing unless one of its policies is for it: an unreadable table
# must not count as an empty one.
_WITH_TENANTS = compiled(
    text(
        """
        SELECT c.relname::text AS name,
               pg_catalog.has_table_privilege(c.oid, 'SELECT') AND (
                   NOT c.relrowsecurity OR EXISTS (
                       SELECT FROM pg_catalog.pg_policy AS p
                       WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd IN ('r', '*')
                         AND (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user)
                             = ANY (p.polroles)
                   )
               ) AS readable
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
        WHERE c.relnamespace = CAST(CAST(:schema AS text) AS regnamespace) AND c.relkind IN ('r', 'p', 'm')
          AND NOT c.relispartition
          AND a.attname = 'tenant_id' AND a.atttypid = 'uuid'::regtype AND NOT a.attisdropped
        ORDER BY c.relname
        """
    ).bindparams(bindparam("schema", type_=Text))
)


class TenantRows:
    """The statements over a service's tables with tenants. Every method needs a connection of that tenant.

    parts: the service's parts of a tenant, parents before children. schema: the service's own.
    catalogs: tables with a column `tenant_id` whose rows outlive the tenant on purpose, by name.
    """

    def __init__(self, parts: Iterable[TenantPart], schema: str, catalogs: Iterable[str] = ()) -> None:
        self._schema = schema
        self._catalogs = frozenset(catalogs)
        tables = [table for part in parts for table in part.tables]
        self.tables: tuple[Table, ...] = tuple(reversed(tables))
        """Children before parents."""
        self._count: Mapping[str, Statement] = {table.fullname: _counting(table) for table in tables}
        self._delete: Mapping[str, Statement] = {table.fullname: _deleting(table) for table in tables}

    async def counts(self, connection: Connection, tenant_id: TenantId) -> dict[str, int]:
        """Return the number of the tenant's rows in each table of the parts."""
        return {name: await self.count(connection, tenant_id, name) for name in self._count}

    async def count(self, connection: Connection, tenant_id: TenantId, table: str) -> int:
        """Return the number of the tenant's rows in one table of the parts."""
        return await _number(connection, self._count[table], tenant_id)

    async def delete(self, connection: Connection, tenant_id: TenantId, table: str, size: int) -> int:
        """Delete up to `size` of the tenant's rows in the table, and return how many: none is left when fewer."""
        return await connection.execute(self._delete[table], tenant_id=tenant_id, size=size)

    async def left(self, connection: Connection, tenant_id: TenantId) -> dict[str, int | None]:
        """Return the number of the tenant's rows in every table that the database's catalog has with tenants, except
        for those that outlive the tenant. None for a table that the role can't read."""
        found = await connection.fetch(_WITH_TENANTS, schema=self._schema)
        names = {row["name"]: row["readable"] for row in found if row["name"] not in self._catalogs}
        return {
            f"{self._schema}.{name}": await self._rows(connection, tenant_id, name) if readable else None
            for name, readable in names.items()
        }

    async def _rows(self, connection: Connection, tenant_id: TenantId, name: str) -> int:
        known = self._count.get(f"{self._schema}.{name}")
        statement = known or _counting(table_of(name, column("tenant_id"), schema=self._schema))
        return await _number(connection, statement, tenant_id)


def _of_tenant(table: TableClause) -> ColumnElement[bool]:
    declared = declaration_of(table) if isinstance(table, Table) else None
    name = declared.tenant_column if isinstance(declared, TenantOwned) else "tenant_id"
    return table.c[name] == bindparam("tenant_id")


def _counting(table: TableClause) -> Statement:
    return compiled(select(func.count().label("rows")).select_from(table).where(_of_tenant(table)))


def _deleting(table: Table) -> Statement:
    some = (
        select(_ctid).select_from(table).where(_of_tenant(table)).limit(bindparam("size", type_=BigInteger)).correlate()
    )
    return compiled(delete(table).where(_ctid == func.any(func.array(some.scalar_subquery()))))


async def _number(connection: Connection, statement: Statement, tenant_id: TenantId) -> int:
    row = await connection.fetch_row(statement, tenant_id=tenant_id)
    if row is None:
        raise InternalDatabaseError("a count returned no row")
    return int(row["rows"])
