"""The schema that the migrations make is the one that the tables declare, and it isolates."""

from __future__ import annotations

from tenantmesh.runtime.database import Database
from tenantmesh.runtime.row_security import verify
from tenantmesh.tenant_svc.tables import metadata


async def test_the_boot_gate_accepts_what_the_migrations_made(database: Database) -> None:
    await verify(database, metadata, package="tenantmesh.tenant_svc")
