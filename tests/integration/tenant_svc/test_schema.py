"""The schema that the migrations make is the one that the tables declare, and it isolates."""

from __future__ import annotations

from runtime.database import Database
from runtime.row_security import verify
from tenant_svc.schema import metadata


async def test_the_boot_gate_accepts_what_the_migrations_made(database: Database) -> None:
    await verify(database, metadata, package="tenant_svc")
