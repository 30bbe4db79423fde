"""Row-level security, declared beside each table, turned into DDL by its migration, verified before a process serves.

    USERS = tenant_owned(Table("users", METADATA, …), app_role="auth_app", privileges=("SELECT", "INSERT"))

Every table is either tenant-owned or a catalog with its reason; there is no third kind. The declaration lives in
`Table.info`; `ddl` renders it; `verify` compares it with the catalog of the running database and refuses what differs.
"""

from __future__ import annotations

from tenantmesh.runtime.row_security.declaration import (
    Catalog,
    Confined,
    LibrarySchema,
    TableGrant,
    TenantOwned,
    catalog,
    ddl,
    declaration_of,
    open_policies,
    tenant_owned,
    uses_library_schema,
)
from tenantmesh.runtime.row_security.gate import InsecureDatabase, verify, verify_purger
from tenantmesh.runtime.row_security.purging import Fence, Purger, purged_by
from tenantmesh.runtime.row_security.repairs import fix_search_paths, renew_open_policies, renew_purge_policies

__all__ = [
    "Catalog",
    "Confined",
    "Fence",
    "InsecureDatabase",
    "LibrarySchema",
    "Purger",
    "TableGrant",
    "TenantOwned",
    "catalog",
    "ddl",
    "declaration_of",
    "fix_search_paths",
    "open_policies",
    "purged_by",
    "renew_open_policies",
    "renew_purge_policies",
    "tenant_owned",
    "uses_library_schema",
    "verify",
    "verify_purger",
]
