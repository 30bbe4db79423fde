"""The table of login hosts."""

from __future__ import annotations

from sqlalchemy import func, select

from tenantmesh.tenant_svc.domain_proofs.tables import proof_table
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["IS_PRIMARY", "login_hosts"]

login_hosts = proof_table("login_hosts", "host")
IS_PRIMARY = func.coalesce(
    select(tenants.c.primary_login_host == login_hosts.c.host)
    .where(tenants.c.tenant_id == login_hosts.c.tenant_id)
    .scalar_subquery(),
    False,
)
"""Whether a row is the tenant's primary host: the tenant's own row says which one is."""
