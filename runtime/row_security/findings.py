"""Comparisons between the declarations and the catalog; each yields sentences, none reads the database.

A sentence names the object, says what is wrong and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from sqlalchemy import Table

from tenantmesh.runtime.database import PURGE_FENCE
from tenantmesh.runtime.migrations import VERSION_POLICY, VERSION_TABLE
from tenantmesh.runtime.row_security.declaration import (
    FLOOR,
    OPEN_ROWS,
    ROWS,
    Catalog,
    LibrarySchema,
    TableGrant,
    TenantOwned,
    cross_tenant_policy,
    declaration_of,
    open_commands,
)
from tenantmesh.runtime.row_security.purging import PURGE_POLICIES, Purger, purger_of

__all__ = [
    "app_role_problems",
    "function_problems",
    "grant_problems",
    "key_problems",
    "library_problems",
    "policy_problems",
    "revision_problems",
    "role_problems",
    "table_problems",
]

Tables = Mapping[str, Table]
_Shape = tuple[object, ...]
"""A policy: permissive or restrictive, command, roles, condition for rows that exist, condition for new rows."""
_Acl = tuple[str, str | None, str, str]
"""A privilege: table, column or None, role, command."""


class CatalogRow(Protocol):
    """One row of a catalog query, by column name."""

    def __getitem__(self, column: str, /) -> Any:
        """Return the column's value."""


_ORDINARY = {"r", "p"}
_MIGRATE = "run `tenantmesh migrate`"


def role_problems(role: CatalogRow, door: str) -> Iterator[str]:
    """Yield every right by which the role of a door could look past row-level security."""
    name = role["name"]
    faults = {
        "superuser": "is a superuser",
        "bypasses": "has BYPASSRLS",
        "administers": "may create roles or databases, or replicate",
        "changed": "is not the role that logged in",
        "member": "is a member of another role",
        "owns": "owns a table, a schema or the database",
        "creates": "may create objects in the schema",
        "makes_temporary": "may create temporary tables",
    }
    for flag, fault in faults.items():
        if role[flag]:
            yield f"the {door}'s role {name} {fault}: connect as the role that roles.sql makes for it"


def app_role_problems(tables: Tables, name: str) -> Iterator[str]:
    """Yield tables whose policies are for another role than the tenant door's."""
    for table, declared in _tenant_owned(tables):
        if declared.app.role != name:
            yield f"{table}: its policies are for {declared.app.role}, but the tenant door logs in as {name}"


def revision_problems(stored: str | None, head: str | None) -> Iterator[str]:
    """Yield a sentence when the schema is not at the newest migration."""
    if stored != head:
        yield f"the schema is at migration {stored or '(none)'} and this program needs {head or '(none)'}: {_MIGRATE}"


def table_problems(tables: Tables, found: Iterable[CatalogRow]) -> Iterator[str]:
    """Yield missing and undeclared tables, and those whose row-level security is off."""
    found = list(found)
    if any(row["name"] == VERSION_TABLE and not row["enabled"] for row in found):
        yield f"{VERSION_TABLE}: row-level security is not enabled: {_MIGRATE}"
    rows = {row["name"]: row for row in found if row["name"] != VERSION_TABLE and not row["partition"]}
    for name in tables.keys() - rows.keys():
        yield f"{name}: the table is missing: {_MIGRATE}"
    for name, row in rows.items():
        if row["kind"] not in _ORDINARY:
            yield f"{name}: a view, materialized view or foreign table looks past row-level security: drop it"
        elif name not in tables:
            yield f"{name}: no table of that name is declared: drop it, or declare it"
        elif _enforced(tables[name]) and not (row["enabled"] and row["forced"]):
            yield f"{name}: row-level security is not enabled and forced: {_restore(tables[name])}"


def policy_problems(tables: Tables, found: Iterable[CatalogRow], app: str) -> Iterator[str]:
    """Yield policies that are missing, different or not declared. `app` is the role of the tenant door."""
    expected = {(name, policy): shape for name, table in tables.items() for policy, shape in _policies(table)}
    expected[VERSION_TABLE, VERSION_POLICY] = ("PERMISSIVE", "SELECT", (app,), "true", None)
    remedies = {name: _restore(table) for name, table in tables.items()}
    yield from _policy_differences(expected, found, {**remedies, VERSION_TABLE: _MIGRATE})


def library_problems(
    schema: LibrarySchema,
    found: Iterable[CatalogRow],
    policies: Iterable[CatalogRow],
    grants: Iterable[CatalogRow],
    functions: Iterable[CatalogRow],
) -> Iterator[str]:
    """Yield every difference between the schema of a library and its declaration."""
    for row in found:
        if row["name"] in schema.tables and not (row["enabled"] and row["forced"]):
            yield f"{schema.name}.{row['name']}: row-level security is not enabled and forced: {_MIGRATE}"
    open_to = {
        (table, policy): shape for table, granted in schema.tables.items() for policy, shape in _open_policies(granted)
    }
    confined = {
        (table, each.policy): ("PERMISSIVE", *each.grant.privileges, (each.grant.role,), None, each.with_check)
        for table, several in schema.confined.items()
        for each in several
    }
    remedies = dict.fromkeys(schema.tables, _MIGRATE)
    wrong = [
        *_policy_differences({**open_to, **confined}, policies, remedies),
        *_grant_differences(_acl_of(schema), grants),
        *function_problems(functions),
    ]
    yield from (f"{schema.name}: {problem}" for problem in wrong)


def _acl_of(schema: LibrarySchema) -> set[_Acl]:
    granted = {(table, *entry) for table, grants in schema.tables.items() for each in grants for entry in _acl(each)}
    confined = [(table, each.grant) for table, several in schema.confined.items() for each in several]
    return granted | {(table, *entry) for table, grant in confined for entry in _acl(grant)}


def _policy_differences(
    expected: Mapping[tuple[str, str], _Shape], found: Iterable[CatalogRow], remedies: Mapping[str, str]
) -> Iterator[str]:
    actual = {(row["table"], row["name"]): _shape(row) for row in found}
    for table, policy in sorted(expected.keys() | actual.keys()):
        key = (table, policy)
        if key not in actual:
            yield f"{table}: policy {policy} is missing: {remedies[table]}"
        elif key not in expected:
            yield f"{table}: policy {policy} is not declared: drop it"
        elif actual[key] != expected[key]:
            yield f"{table}: policy {policy} is not as declared: drop it; {remedies[table]}"


def grant_problems(tables: Tables, found: Iterable[CatalogRow]) -> Iterator[str]:
    """Yield privileges that are missing, and those that nobody declared."""
    expected = {(name, *entry) for name, table in tables.items() for grant in _grants(table) for entry in _acl(grant)}
    others = (row for row in found if not (row["table"] == VERSION_TABLE and row["privilege"] == "SELECT"))
    yield from _grant_differences(expected, others)


def _grant_differences(expected: set[_Acl], found: Iterable[CatalogRow]) -> Iterator[str]:
    actual = {(row["table"], row["column"], row["role"], row["privilege"]) for row in found}
    for table, column, role, privilege in sorted(expected - actual, key=str):
        yield f"{_place(table, column)}: {role} lacks {privilege}: {_MIGRATE}"
    for table, column, role, privilege in sorted(actual - expected, key=str):
        yield f"{_place(table, column)}: {role} may {privilege}, which nobody declared: revoke it"


def key_problems(tables: Tables, found: Iterable[CatalogRow]) -> Iterator[str]:
    """Yield unique indexes and foreign keys without the tenant: by them one tenant can feel another's rows."""
    owned = dict(_tenant_owned(tables))
    for row in found:
        declared = owned.get(row["table"])
        if declared is None or declared.tenant_column in row["columns"]:
            continue
        if row["kind"] == "unique" and row["name"] not in declared.unique_across_tenants:
            yield f"{row['table']}: unique {row['name']} lacks {declared.tenant_column}: add it, or declare why it may"
        if row["kind"] == "foreign" and row["target"] in owned:
            yield f"{row['table']}: foreign key {row['name']} lacks {declared.tenant_column}: make it composite"


def function_problems(found: Iterable[CatalogRow]) -> Iterator[str]:
    """Yield functions that run as their owner, that are declared not to leak, or that look for names where their caller
    says."""
    for row in found:
        if row["definer"] or row["leakproof"]:
            trait = "SECURITY DEFINER" if row["definer"] else "LEAKPROOF"
            yield f"function {row['name']} is {trait} and looks past row-level security: drop it"
        if not row["fixed_path"]:
            yield f"function {row['name']} looks for names in its caller's search_path: {_MIGRATE}"


def _tenant_owned(tables: Tables) -> Iterator[tuple[str, TenantOwned]]:
    for name, table in tables.items():
        declared = declaration_of(table)
        if isinstance(declared, TenantOwned):
            yield name, declared


def _enforced(table: Table) -> bool:
    declared = declaration_of(table)
    return isinstance(declared, TenantOwned) or declared.secret


def _grants(table: Table) -> Iterator[TableGrant]:
    """Yield every grant on the table, that of the role that purges included."""
    declared, purger = declaration_of(table), purger_of(table.metadata)
    yield from declared.grants
    if purger is not None and isinstance(declared, TenantOwned):
        yield TableGrant(purger.role, tuple(PURGE_POLICIES))


def _policies(table: Table) -> Iterator[tuple[str, _Shape]]:
    declared, purger = declaration_of(table), purger_of(table.metadata)
    if isinstance(declared, Catalog):
        yield from _open_policies(declared.grants if declared.secret else ())
        return
    rule = _printed_rule(declared.tenant_column)
    yield FLOOR, ("RESTRICTIVE", "ALL", (declared.app.role,), rule, rule)
    yield ROWS, ("PERMISSIVE", "ALL", (declared.app.role,), rule, rule)
    yield from _open_policies(declared.cross_tenant)
    if purger is not None:
        yield from _purge_policies(table.name, purger, rule)


def _printed_rule(column: str) -> str:
    """Return the condition that `declaration.predicate` writes, as PostgreSQL prints it back."""
    return f"({column} = ( SELECT (current_setting('app.tenant_id'::text))::uuid AS current_setting))"


def _purge_policies(table: str, purger: Purger, rule: str) -> Iterator[tuple[str, _Shape]]:
    further = purger.own.get(table, purger.condition)
    deleted = f"({rule} AND {further})" if further else rule
    for command, using in (("SELECT", rule), ("DELETE", deleted)):
        yield PURGE_POLICIES[command], ("PERMISSIVE", command, (purger.role,), using, None)
    if purger.fence is not None:
        yield PURGE_FENCE, ("RESTRICTIVE", "INSERT", (purger.fence.role,), None, purger.fence.condition)


def _open_policies(grants: Iterable[TableGrant]) -> Iterator[tuple[str, _Shape]]:
    for role, command in open_commands(grants):
        using = "true" if "USING" in OPEN_ROWS[command] else None
        with_check = "true" if "WITH CHECK" in OPEN_ROWS[command] else None
        yield cross_tenant_policy(role, command), ("PERMISSIVE", command, (role,), using, with_check)


def _shape(row: CatalogRow) -> _Shape:
    # A condition with a select is printed in several lines.
    using, check = (None if row[name] is None else " ".join(row[name].split()) for name in ("using", "with_check"))
    return row["permissive"], row["command"], tuple(row["roles"]), using, check


def _acl(grant: TableGrant) -> Iterator[tuple[str | None, str, str]]:
    for privilege in grant.privileges:
        for column in grant.columns or (None,):
            yield column, grant.role, privilege


def _place(table: str, column: str | None) -> str:
    return f"{table}.{column}" if column else table


def _restore(table: Table) -> str:
    return f"apply row_security.ddl of {table.fullname} again, as {table.schema}_owner"
