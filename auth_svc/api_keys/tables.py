"""The table of system keys: API keys of operators and services, which belong to no tenant."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

from tenantmesh.auth_svc.schema import DIRECTORY_ROLE, metadata
from tenantmesh.chassis.moments import accepted_time
from tenantmesh.runtime.row_security import TableGrant, catalog

__all__ = ["system_keys"]

system_keys = catalog(
    Table(
        "system_keys",
        metadata,
        Column("key_id", Uuid, primary_key=True),
        Column("name", Text, nullable=False),
        Column("audience", Text, nullable=False),
        Column("permissions", ARRAY(Text), nullable=False),
        Column("secret_hash", LargeBinary, nullable=False, comment="SHA-256 of the secret"),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Column("expire_time", TIMESTAMP(timezone=True)),
        Column("revoke_time", TIMESTAMP(timezone=True)),
        Column("meters", ARRAY(Text), comment="the METERED features that it may use; * is all, and so is null"),
        Column("gauges", ARRAY(Text), comment="the GAUGE features whose levels it may set; * is all, and so is null"),
        accepted_time("system_keys", "expire_time"),
        CheckConstraint("expire_time > create_time", name="system_keys_lifetime_check"),
        CheckConstraint("char_length(name) between 2 and 63", name="system_keys_name_check"),
        CheckConstraint("audience in ('OPERATOR', 'SERVICE')", name="system_keys_audience_check"),
    ),
    reason="operators and services act on the mesh as a whole; their keys are verified before any tenant is known",
    grants=[
        TableGrant(DIRECTORY_ROLE, ("SELECT", "INSERT")),
        TableGrant(DIRECTORY_ROLE, ("UPDATE",), ("revoke_time",)),
    ],
    secret=True,
)
