"""The table of a service's signing keys, and its statements."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, MetaData, Table, Text, insert, select
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.chassis.signing.signing_key import SigningKey
from tenantmesh.runtime.database import Connection, Record, Statement, compiled
from tenantmesh.runtime.row_security import TableGrant, catalog

__all__ = ["SigningKeyRows", "signing_keys_table"]


def signing_keys_table(name: str, metadata: MetaData, role: str, reason: str) -> Table:
    """Declare a table of signing keys in a service's schema. `role` is the role of its system door."""
    return catalog(
        Table(
            name,
            metadata,
            Column("kid", Text, primary_key=True),
            Column("public_key", LargeBinary, nullable=False, comment="raw Ed25519"),
            Column(
                "sealed_private_key", LargeBinary, nullable=False, comment="raw Ed25519 under the key-encryption key"
            ),
            Column("create_time", TIMESTAMP(timezone=True), nullable=False),
            Column("activate_time", TIMESTAMP(timezone=True), nullable=False, comment="published before it signs"),
        ),
        reason=reason,
        grants=[TableGrant(role, ("SELECT", "INSERT"))],
        secret=True,
    )


class SigningKeyRows:
    """The statements on a table of signing keys. Every method needs a connection of the system door."""

    def __init__(self, table: Table) -> None:
        self._all: Statement = compiled(select(table))
        self._add: Statement = compiled(insert(table))

    async def all_keys(self, connection: Connection) -> list[SigningKey]:
        """Return all keys."""
        return [_signing_key(row) for row in await connection.fetch(self._all)]

    async def add(self, connection: Connection, key: SigningKey) -> None:
        """Store the key."""
        await connection.execute(
            self._add,
            kid=key.kid,
            public_key=key.public,
            sealed_private_key=key.sealed_private,
            create_time=key.create_time,
            activate_time=key.activate_time,
        )


def _signing_key(row: Record) -> SigningKey:
    return SigningKey(
        kid=row["kid"],
        public=row["public_key"],
        sealed_private=row["sealed_private_key"],
        create_time=row["create_time"],
        activate_time=row["activate_time"],
    )
