"""The tables of every capability. Importing this module declares all of them in `metadata`."""

from __future__ import annotations

from tenantmesh.chassis.jobs.schema import job_schema
from tenantmesh.runtime.row_security import uses_library_schema
from tenantmesh.tenant_svc import followers
from tenantmesh.tenant_svc.allocations import tables as allocations
from tenantmesh.tenant_svc.balances import tables as balances
from tenantmesh.tenant_svc.branding import tables as branding
from tenantmesh.tenant_svc.bulk import tables as bulk
from tenantmesh.tenant_svc.catalog_log import tables as catalog_log
from tenantmesh.tenant_svc.domain_proofs import tables as domain_proofs
from tenantmesh.tenant_svc.email_domains import tables as email_domains
from tenantmesh.tenant_svc.entitlements import tables as entitlements
from tenantmesh.tenant_svc.features import tables as features
from tenantmesh.tenant_svc.gauges import tables as gauges
from tenantmesh.tenant_svc.history import tables as history
from tenantmesh.tenant_svc.invitations import tables as invitations
from tenantmesh.tenant_svc.login_hosts import tables as login_hosts
from tenantmesh.tenant_svc.operations import tables as operations
from tenantmesh.tenant_svc.plans import tables as plans
from tenantmesh.tenant_svc.purges import tables as purges
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, WORKER_ROLE, metadata
from tenantmesh.tenant_svc.setup_links import tables as setup_links
from tenantmesh.tenant_svc.tenants import tables as tenants

__all__ = ["MODULES", "metadata"]

MODULES = (
    allocations, balances, branding, bulk, catalog_log, domain_proofs, email_domains, entitlements, features, followers,
    gauges, history, invitations, login_hosts, operations, plans, purges, setup_links, tenants,
)  # fmt: skip

uses_library_schema(metadata, job_schema(APP_ROLE, DIRECTORY_ROLE, WORKER_ROLE))
