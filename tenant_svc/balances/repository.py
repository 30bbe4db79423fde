"""Grants as rows of their table. The ledger (`tenant_svc.allowances`) writes the use of them."""

from __future__ import annotations

from tenantmesh.runtime.database import Record
from tenantmesh.tenant_svc.balances.grant import Grant
from tenantmesh.tenant_svc.balances.tables import grants

__all__ = ["GRANT", "grant_of"]

GRANT = tuple(
    grants.c[name]
    for name in (
        "grant_id",
        "feature_id",
        "amount",
        "priority",
        "effective_time",
        "expire_time",
        "max_rollover",
        "min_rollover",
        "reason",
        "balance",
        "balance_period",
        "void_time",
        "create_time",
    )
)
"""The columns that `grant_of` reads."""


def grant_of(row: Record) -> Grant:
    """Return the grant in a row."""
    return Grant(*(row[column.key] for column in GRANT))
