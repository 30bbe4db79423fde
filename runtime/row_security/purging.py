"""The role that purges tenants from a schema, and the fence that keeps their rows out: declared, and as DDL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import MetaData

from tenantmesh.runtime.database import PURGE_FENCE
from tenantmesh.runtime.row_security.declaration import predicate

__all__ = ["PURGE_POLICIES", "Fence", "Purger", "purge_policies", "purged_by", "purger_of"]

_INFO_PURGER = "purger"
PURGE_POLICIES = {"SELECT": "purge_select", "DELETE": "purge_delete"}
"""Command → the name of the policy for the role that purges."""
_KEPT_OUT = (
    "(NOT (EXISTS ( SELECT 1 FROM {table} p "
    "WHERE (p.tenant_id = ( SELECT (current_setting('app.tenant_id'::text))::uuid AS current_setting)))))"
)


@dataclass(frozen=True, slots=True)
class Fence:
    """Keeps rows of purged tenants from coming back: `role` inserts none of a tenant that is in the catalog `table`.

    A schema needs it when its tables do not refer to a row of the tenant, whose deletion would do the same.
    """

    table: str
    role: str

    @property
    def condition(self) -> str:
        """Return what must hold for a new row, as PostgreSQL prints it back."""
        return _KEPT_OUT.replace("{table}", self.table)


@dataclass(frozen=True, slots=True)
class Purger:
    """The role that deletes a tenant's rows for good: those of its transaction's tenant, in every tenant-owned table.

    condition: what must hold besides, as PostgreSQL prints it back; empty for nothing. own: the condition of a table by
    name, instead of the common one. fence: what keeps new rows of a purged tenant out.
    """

    role: str
    condition: str = ""
    own: Mapping[str, str] = field(default_factory=dict)
    fence: Fence | None = None

    def deletes(self, table: str, tenant_column: str = "tenant_id") -> str:
        """Return the condition under which the role may delete a row of the table."""
        further = self.own.get(table, self.condition)
        rule = predicate(tenant_column)
        return f"({rule}) AND {further}" if further else rule


def purged_by(metadata: MetaData, purger: Purger) -> None:
    """Declare the role that purges tenants from this schema. `verify` then demands its grants and policies on every
    tenant-owned table."""
    metadata.info[_INFO_PURGER] = purger


def purger_of(metadata: MetaData) -> Purger | None:
    """Return the role that purges tenants from this schema, if there is one."""
    found = metadata.info.get(_INFO_PURGER)
    return found if isinstance(found, Purger) else None


def purge_policies(schema: str, purger: Purger, table: str, tenant_column: str = "tenant_id") -> list[str]:
    """Return the statements by which the role may purge one table, and by which no purged row comes back. They may be
    run again."""
    name = f"{schema}.{table}"
    rules = {"SELECT": predicate(tenant_column), "DELETE": purger.deletes(table, tenant_column)}
    policies = [(PURGE_POLICIES[command], command, rule) for command, rule in rules.items()]
    return [
        *(f"DROP POLICY IF EXISTS {policy} ON {name}" for policy, _, _ in policies),
        *(
            f"CREATE POLICY {policy} ON {name} AS PERMISSIVE FOR {command} TO {purger.role} USING ({rule})"
            for policy, command, rule in policies
        ),
        f"GRANT SELECT, DELETE ON {name} TO {purger.role}",
        *(() if purger.fence is None else _fenced(name, purger.fence)),
    ]


def _fenced(name: str, fence: Fence) -> tuple[str, ...]:
    kind = f"AS RESTRICTIVE FOR INSERT TO {fence.role}"
    return (
        f"DROP POLICY IF EXISTS {PURGE_FENCE} ON {name}",
        f"CREATE POLICY {PURGE_FENCE} ON {name} {kind} WITH CHECK ({fence.condition})",
    )
