"""The schema of this service and the roles that use it. Each table is declared in its capability's folder."""

from __future__ import annotations

from sqlalchemy import MetaData

from tenantmesh.chassis.doors import Outage
from tenantmesh.runtime.row_security import Fence, Purger, purged_by

__all__ = ["APP_ROLE", "DIRECTORY_ROLE", "OUTAGE", "SCHEMA", "metadata"]

SCHEMA = "auth"
APP_ROLE = "auth_app"
"""The role of a tenant's door: it sees one tenant at a time."""
DIRECTORY_ROLE = "auth_directory"
"""The role of the system's door: signing keys, system keys, and the levels of all tenants."""

_PURGER = Purger("auth_purger", fence=Fence("purged_tenants", APP_ROLE))
"""The role that destroys a tenant's rows. That the tenant is deleted, the use case asks tenant_svc. This schema has no
row of the tenant itself, so a fence keeps its rows from coming back."""

metadata = MetaData(schema=SCHEMA)
purged_by(metadata, _PURGER)

OUTAGE = Outage("CREDENTIALS_UNVERIFIABLE", "Accounts and credentials can't be read at the moment. Retry with backoff.")
"""The answer to callers while the database can't be reached."""
