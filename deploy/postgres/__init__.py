"""The roles, schemas and rights that PostgreSQL needs before the services' migrations run (`roles.sql`).

The tables and their row-level security are in the services' migrations; how an embedded server runs is in
`deploy.stack.engines.postgres`.
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["DATABASE", "LOGIN_ROLES", "roles_sql"]

DATABASE = "tenantmesh"
LOGIN_ROLES = (
    "tenantmesh_migrate", "tenant_app", "tenant_directory", "tenant_worker", "tenant_purger",
    "auth_app", "auth_directory", "auth_purger",
)  # fmt: skip


def roles_sql() -> str:
    """Return the script that a superuser runs once in each database. Running it again changes nothing."""
    return files(__package__).joinpath("roles.sql").read_text(encoding="utf-8")
