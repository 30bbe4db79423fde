"""The tables of every capability. Importing this module declares all of them in `metadata`."""

from __future__ import annotations

from tenantmesh.auth_svc.accounts import tables as accounts
from tenantmesh.auth_svc.api_keys import tables as api_keys
from tenantmesh.auth_svc.gauges import tables as gauges
from tenantmesh.auth_svc.schema import metadata
from tenantmesh.auth_svc.sessions import tables as sessions
from tenantmesh.auth_svc.tenant_data import tables as tenant_data
from tenantmesh.auth_svc.tokens import tables as tokens

__all__ = ["MODULES", "metadata"]

MODULES = (accounts, api_keys, gauges, sessions, tenant_data, tokens)
