"""Where the tables of this service live, and the roles that may touch them. Tables are beside their capabilities."""

from __future__ import annotations

from sqlalchemy import MetaData

from tenantmesh.chassis.doors import Outage

__all__ = ["APP_ROLE", "DIRECTORY_ROLE", "OUTAGE", "OWNER", "SCHEMA", "metadata"]

SCHEMA = "auth"
OWNER = "auth_owner"
APP_ROLE = "auth_app"
"""Works for one tenant at a time."""
DIRECTORY_ROLE = "auth_directory"
"""Reads and adds what belongs to no tenant: signing keys and system keys."""

metadata = MetaData(schema=SCHEMA)

OUTAGE = Outage("CREDENTIALS_UNVERIFIABLE", "Accounts and credentials can't be read at the moment. Retry with backoff.")
"""What callers are answered while this schema's database is away."""
