"""The schema that this service owns, and the database roles that reach it. Each capability declares its own tables."""

from __future__ import annotations

from sqlalchemy import MetaData

from tenantmesh.chassis.doors import Outage

__all__ = ["APP_ROLE", "DIRECTORY_ROLE", "OUTAGE", "SCHEMA", "WORKER_ROLE", "metadata"]

SCHEMA = "tenant"
APP_ROLE = "tenant_app"
DIRECTORY_ROLE = "tenant_directory"
WORKER_ROLE = "tenant_worker"

metadata = MetaData(schema=SCHEMA)

OUTAGE = Outage("TENANT_DIRECTORY_UNAVAILABLE", "Tenants can't be read or changed at the moment. Retry with backoff.")
"""The answer to callers while this schema's database is away."""
