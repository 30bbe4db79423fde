"""The declaration of a table's row-level security, and the DDL that makes PostgreSQL enforce it.

The policy is strict on purpose: without a tenant set, `current_setting` raises instead of showing no rows, so a
forgotten tenant is an alarm and never an empty page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import MetaData, Table, Uuid

__all__ = [
    "FLOOR",
    "OPEN_ROWS",
    "ROWS",
    "Catalog",
    "Confined",
    "LibrarySchema",
    "TableGrant",
    "TenantOwned",
    "catalog",
    "cross_tenant_policy",
    "ddl",
    "declaration_of",
    "library_schemas",
    "open_commands",
    "open_policies",
    "predicate",
    "tenant_owned",
    "uses_library_schema",
]

_INFO_KEY = "row_security"
_PRIVILEGES = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_NIL = "00000000-0000-0000-0000-000000000000"

_INFO_LIBRARIES = "library_schemas"
OPEN_ROWS = {
    "SELECT": "USING (true)",
    "INSERT": "WITH CHECK (true)",
    "UPDATE": "USING (true) WITH CHECK (true)",
    "DELETE": "USING (true)",
}
"""Command → the condition of a policy for every row."""
FLOOR = "tenant_floor"
ROWS = "tenant_rows"


@dataclass(frozen=True, slots=True)
class TableGrant:
    """Privileges on a table for one role, on the named columns only when there are any."""

    role: str
    privileges: Sequence[str]
    columns: Sequence[str] = ()

    def __post_init__(self) -> None:
        if unknown := set(self.privileges) - _PRIVILEGES:
            raise ValueError(f"{sorted(unknown)} cannot be granted: TRUNCATE and the like look past row-level security")
        if self.columns and "DELETE" in self.privileges:
            raise ValueError("DELETE is granted on whole tables only")


@dataclass(frozen=True, slots=True)
class TenantOwned:
    """Rows belong to a tenant; `app` sees those of the current one, `cross_tenant` grantees see all, by reason."""

    tenant_column: str
    app: TableGrant
    cross_tenant: tuple[TableGrant, ...] = ()
    unique_across_tenants: Mapping[str, str] = field(default_factory=dict)

    @property
    def grants(self) -> tuple[TableGrant, ...]:
        """Every grant on the table."""
        return (self.app, *self.cross_tenant)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Rows belong to no tenant; `reason` says why that is so.

    `secret`: row-level security is enabled and forced all the same, with a policy for the grantees only, so that a
    stray grant to another role shows nothing.
    """

    reason: str
    grants: tuple[TableGrant, ...]
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Confined:
    """A grant whose rows a policy bounds by a condition of its own, as PostgreSQL prints it back."""

    grant: TableGrant
    policy: str
    with_check: str


@dataclass(frozen=True, slots=True)
class LibrarySchema:
    """A schema whose tables a library makes and works on, and the reason why it is not the service's own.

    tables: the grants by table; the grantees see every row, as far as their grants go.
    confined: further grants by table, each with its policy. A role has one of them at most.
    """

    name: str
    reason: str
    tables: Mapping[str, Sequence[TableGrant]]
    confined: Mapping[str, Sequence[Confined]] = field(default_factory=dict)


def uses_library_schema(metadata: MetaData, schema: LibrarySchema) -> None:
    """Declare that the service works on the schema too. `verify` then compares it with the declaration."""
    metadata.info.setdefault(_INFO_LIBRARIES, []).append(schema)


def library_schemas(metadata: MetaData) -> Sequence[LibrarySchema]:
    """Return the schemas of libraries that the service works on."""
    return tuple(metadata.info.get(_INFO_LIBRARIES, ()))


def tenant_owned(
    table: Table,
    app_role: str,
    privileges: Sequence[str],
    *,
    tenant_column: str = "tenant_id",
    cross_tenant: Sequence[TableGrant] = (),
    unique_across_tenants: Mapping[str, str] | None = None,
) -> Table:
    """Declare that rows of the table belong to a tenant, and return the table.

    `cross_tenant` lets other roles (a directory, a relay) see every row, as far as their grants go.
    `unique_across_tenants` maps names of unique constraints or indexes that lack the tenant column to the reason why
    that gives nothing away. Raises ValueError when the tenant column is missing, nullable, no UUID or not in the
    primary key.
    """
    column = table.columns.get(tenant_column)
    if column is None or column.nullable or not column.primary_key or not isinstance(column.type, Uuid):
        raise ValueError(f"{table.fullname} needs {tenant_column}: a Uuid, not null, in the primary key")
    if any(grant.role == app_role for grant in cross_tenant):
        raise ValueError(f"{app_role} must not see all tenants of {table.fullname}; use the directory role")
    table.info[_INFO_KEY] = TenantOwned(
        tenant_column, TableGrant(app_role, tuple(privileges)), tuple(cross_tenant), dict(unique_across_tenants or {})
    )
    return table


def catalog(table: Table, reason: str, grants: Sequence[TableGrant], *, secret: bool = False) -> Table:
    """Declare that rows of the table belong to no tenant, and why; return the table. See `Catalog` for `secret`."""
    if not reason.strip():
        raise ValueError(f"{table.fullname} belongs to no tenant: give a reason")
    table.info[_INFO_KEY] = Catalog(reason, tuple(grants), secret)
    return table


def declaration_of(table: Table) -> TenantOwned | Catalog:
    """Return what was declared. Raises ValueError for an undeclared table, saying what to add."""
    declared = table.info.get(_INFO_KEY)
    if not isinstance(declared, (TenantOwned, Catalog)):
        raise ValueError(f"{table.fullname} declares no row-level security; wrap it in tenant_owned() or catalog()")
    return declared


def ddl(table: Table) -> list[str]:
    """Return the statements that follow CREATE TABLE in a migration, in order."""
    declared, name = declaration_of(table), table.fullname
    statements = [_grant(name, grant) for grant in declared.grants]
    if isinstance(declared, TenantOwned):
        statements = [*_policies(table, declared), *statements]
    elif declared.secret:
        statements = [*_enforced(name), *open_policies(name, declared.grants), *statements]
    return statements


def predicate(column: str) -> str:
    """Return the condition under which a row belongs to the current tenant."""
    return f"{column} = (SELECT current_setting('app.tenant_id')::uuid)"


def _policies(table: Table, declared: TenantOwned) -> list[str]:
    name, role, rule = table.fullname, declared.app.role, predicate(declared.tenant_column)
    return [
        f"ALTER TABLE {name} ADD CONSTRAINT {table.name}_tenant_is_real CHECK ({declared.tenant_column} <> '{_NIL}')",
        *_enforced(name),
        f"CREATE POLICY {FLOOR} ON {name} AS RESTRICTIVE FOR ALL TO {role} USING ({rule}) WITH CHECK ({rule})",
        f"CREATE POLICY {ROWS} ON {name} AS PERMISSIVE FOR ALL TO {role} USING ({rule}) WITH CHECK ({rule})",
        *open_policies(name, declared.cross_tenant),
    ]


def _enforced(name: str) -> list[str]:
    return [f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY", f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"]


def open_policies(name: str, grants: Iterable[TableGrant]) -> list[str]:
    """Return the statements for the policies by which the grantees see every row, as far as their grants go."""
    return [
        f"CREATE POLICY {cross_tenant_policy(role, command)} ON {name} AS PERMISSIVE FOR {command} TO {role} {rows}"
        for role, command, rows in ((*opened, OPEN_ROWS[opened[1]]) for opened in open_commands(grants))
    ]


def open_commands(grants: Iterable[TableGrant]) -> list[tuple[str, str]]:
    """Return each role and each command that it is granted: one policy each, so that a stray grant of another command
    reaches no row."""
    return list(dict.fromkeys((grant.role, privilege) for grant in grants for privilege in grant.privileges))


def cross_tenant_policy(role: str, command: str) -> str:
    """Return the name of the policy that lets a role use the command on the rows of all tenants."""
    return f"cross_tenant_{role}_{command.lower()}"


def _grant(table: str, grant: TableGrant) -> str:
    columns = f" ({', '.join(grant.columns)})" if grant.columns else ""
    return f"GRANT {', '.join(f'{privilege}{columns}' for privilege in grant.privileges)} ON {table} TO {grant.role}"
