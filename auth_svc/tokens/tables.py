"""The table of signing keys. They sign for every tenant, so they belong to none."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.auth_svc.schema import DIRECTORY_ROLE, metadata
from tenantmesh.runtime.row_security import TableGrant, catalog

__all__ = ["signing_keys"]

signing_keys = catalog(
    Table(
        "signing_keys",
        metadata,
        Column("kid", Text, primary_key=True),
        Column("public_key", LargeBinary, nullable=False, comment="raw Ed25519"),
        Column("sealed_private_key", LargeBinary, nullable=False, comment="raw Ed25519 under the key-encryption key"),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Column("activate_time", TIMESTAMP(timezone=True), nullable=False, comment="published before it signs"),
    ),
    reason="one key set signs for all tenants; keys are only ever added",
    grants=[TableGrant(DIRECTORY_ROLE, ("SELECT", "INSERT"))],
    secret=True,
)
