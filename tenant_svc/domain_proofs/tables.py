"""The table of the tenants' tokens, and the form of a table of names with their proofs."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, tenant_owned
from tenantmesh.tenant_svc.domain_proofs.proof import SERVED, ProofState
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["domain_tokens", "proof_table"]

domain_tokens = tenant_owned(
    Table(
        "domain_tokens",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("token", Text(collation="C"), nullable=False),
    ),
    APP_ROLE,
    ("SELECT", "INSERT"),
)


def proof_table(name: str, column: str, into: MetaData = metadata) -> Table:
    """Declare a table of names. `column` holds the name."""
    table = Table(
        name,
        into,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("proof_id", Uuid, primary_key=True),
        Column(column, Text(collation="C"), nullable=False),
        Column("actor", Text, nullable=False, server_default=""),  # processes of before name nobody
        *_state_columns(),
        UniqueConstraint("tenant_id", column, name=f"{name}_{column}_key"),
        CheckConstraint(f"state in ({_quoted(ProofState)})", name=f"{name}_state_check"),
        Index(f"{name}_served_idx", column, unique=True, postgresql_where=f"state in ({_quoted(SERVED)})"),
        Index(f"{name}_lapsed_idx", column, postgresql_where="state = 'LAPSED'"),
    )
    return tenant_owned(
        table,
        APP_ROLE,
        ("SELECT", "INSERT", "UPDATE", "DELETE"),
        cross_tenant=(TableGrant(DIRECTORY_ROLE, ("SELECT",)),),  # finding tenants whose lapsed name another has proven
        unique_across_tenants={
            f"{name}_served_idx": "a proven name is one tenant's; a tenant learns that another has it only by proving "
            "that it controls the name"
        },
    )


def _state_columns() -> list[Column[object]]:
    return [
        Column("state", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("state_time", TIMESTAMP(timezone=True), nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Column("verify_time", TIMESTAMP(timezone=True)),
        # The last check: when it began, its result, and words for people.
        Column("check_time", TIMESTAMP(timezone=True)),
        Column("check_result", Text),
        Column("check_detail", Text),
        # A job is in the queue for this time.
        Column("next_check_time", TIMESTAMP(timezone=True), nullable=False),
        Column("ask_time", TIMESTAMP(timezone=True)),
        # False while tenants whose proof of the name has lapsed may not know that it is another's now.
        Column("announced", Boolean, nullable=False),
        Column("history", JSONB, nullable=False),
    ]


def _quoted(states: Iterable[ProofState]) -> str:
    """Return the states as a list of SQL, in the order of the contract."""
    wanted = set(states)
    return ", ".join(f"'{state.value}'" for state in ProofState if state in wanted)
