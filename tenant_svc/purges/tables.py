"""The tables that outlive tenants: the proofs of their purges, and the keys that sign those."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.chassis.signing.key_rows import signing_keys_table
from tenantmesh.runtime.row_security import TableGrant, catalog
from tenantmesh.tenant_svc.schema import DIRECTORY_ROLE, metadata

__all__ = ["purge_keys", "purge_proofs"]

purge_proofs = catalog(
    Table(
        "purge_proofs",
        metadata,
        Column("tenant_id", Uuid, primary_key=True),
        Column("operation_id", Uuid, nullable=False),
        Column("purge_time", TIMESTAMP(timezone=True), nullable=False),
        Column("kid", Text, nullable=False),
        Column("proof", Text, nullable=False, comment="canonical JSON, exactly as it was signed"),
        Column("signature", Text, nullable=False, comment="detached JWS"),
    ),
    "A proof that a tenant was destroyed outlives the tenant. It holds numbers, times and ids, and is never changed.",
    (TableGrant(DIRECTORY_ROLE, ("SELECT", "INSERT")),),
    secret=True,
)

purge_keys = signing_keys_table(
    "purge_keys", metadata, DIRECTORY_ROLE, "one key set signs the proofs of all purges; keys are only ever added"
)
