"""The schema that this service owns, and the roles by which it reaches it. Each capability declares its own tables."""

from __future__ import annotations

from sqlalchemy import MetaData

__all__ = ["APP_ROLE", "DIRECTORY_ROLE", "SCHEMA", "metadata"]

SCHEMA = "tenant"
APP_ROLE = "tenant_app"
DIRECTORY_ROLE = "tenant_directory"

metadata = MetaData(schema=SCHEMA)
