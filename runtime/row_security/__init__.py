"""Row-level security, declared beside each table, turned into DDL by its migration, verified before a process serves.

    USERS = tenant_owned(Table("users", METADATA, …), app_role="auth_app", privileges=("SELECT", "INSERT"))

Every table is either tenant-owned or a catalog with its reason; there is no third kind. The declaration lives in
`Table.info`; `ddl` renders it; `verify` compares it with the catalog of the running database and refuses what differs.
"""

from __future__ import annotations

from tenantmesh.runtime.row_security.declaration import (
    Catalog,
    TableGrant,
    TenantOwned,
    catalog,
    ddl,
    declaration_of,
    tenant_owned,
)
from tenantmesh.runtime.row_security.gate import InsecureDatabase, verify

__all__ = [
    "Catalog",
    "InsecureDatabase",
    "TableGrant",
    "TenantOwned",
    "catalog",
    "ddl",
    "declaration_of",
    "tenant_owned",
    "verify",
]
