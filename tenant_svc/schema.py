"""The schema that this service owns, and the database roles that reach it. Each capability declares its own tables."""

from __future__ import annotations

from sqlalchemy import MetaData

from tenantmesh.chassis.doors import Outage
from tenantmesh.runtime.row_security import Purger, purged_by

__all__ = ["APP_ROLE", "DIRECTORY_ROLE", "OUTAGE", "SCHEMA", "WORKER_ROLE", "metadata"]

SCHEMA = "tenant"
APP_ROLE = "tenant_app"
DIRECTORY_ROLE = "tenant_directory"
WORKER_ROLE = "tenant_worker"

_BEGUN = "((state = 'DELETED'::text) AND (purge_start_time IS NOT NULL))"
# As PostgreSQL prints it back. The tenant's own row is asked by its columns: a policy can't select from its own table.
_PURGER = Purger(
    "tenant_purger",
    condition=(
        "( SELECT ((t.state = 'DELETED'::text) AND (t.purge_start_time IS NOT NULL)) FROM tenants t "
        "WHERE (t.tenant_id = ( SELECT (current_setting('app.tenant_id'::text))::uuid AS current_setting)))"
    ),
    own={"tenants": _BEGUN},
)
"""The role that destroys a tenant's rows: no others, and not before the tenant is deleted and its purge has begun."""

metadata = MetaData(schema=SCHEMA)
purged_by(metadata, _PURGER)

OUTAGE = Outage("TENANT_DIRECTORY_UNAVAILABLE", "Tenants can't be read or changed at the moment. Retry with backoff.")
"""The answer to callers while this schema's database is away."""
