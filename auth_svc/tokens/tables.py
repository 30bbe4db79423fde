"""The table of signing keys. They sign for every tenant, so they belong to none."""

from __future__ import annotations

from tenantmesh.auth_svc.schema import DIRECTORY_ROLE, metadata
from tenantmesh.chassis.signing.key_rows import signing_keys_table

__all__ = ["signing_keys"]

signing_keys = signing_keys_table(
    "signing_keys", metadata, DIRECTORY_ROLE, "one key set signs for all tenants; keys are only ever added"
)
