"""The way to PostgreSQL: two doors, both transactions. No session, no autocommit, no third way.

    async with database.tenant_transaction(call.tenant_id, read_only=True) as connection:
        row = await connection.fetch_row(_BY_ID, tenant_id=call.tenant_id)

SQLAlchemy describes tables and builds statements (`compiled`); asyncpg runs them. Row-level security is declared in
`runtime.row_security`. Not here: what a statement means, and what its failure means to a client.
"""

from __future__ import annotations

from tenantmesh.runtime.database.batches import batch_of, in_batch
from tenantmesh.runtime.database.database import Database, connect
from tenantmesh.runtime.database.doors import DatabaseDoors
from tenantmesh.runtime.database.errors import (
    PURGE_FENCE,
    CommitUnknown,
    ConstraintViolation,
    DatabaseError,
    DatabaseUnavailable,
    ForeignKeyViolation,
    InternalDatabaseError,
    LoginRefused,
    StandbyReached,
    TenantPurged,
    TransactionConflict,
    UniqueViolation,
    translated,
)
from tenantmesh.runtime.database.several_tenants import SeveralTenants
from tenantmesh.runtime.database.shapes import StatementShapes
from tenantmesh.runtime.database.statement import Statement, compiled, compiled_statements
from tenantmesh.runtime.database.transaction import Connection, Record

__all__ = [
    "PURGE_FENCE",
    "CommitUnknown",
    "Connection",
    "ConstraintViolation",
    "Database",
    "DatabaseDoors",
    "DatabaseError",
    "DatabaseUnavailable",
    "ForeignKeyViolation",
    "InternalDatabaseError",
    "LoginRefused",
    "Record",
    "SeveralTenants",
    "StandbyReached",
    "Statement",
    "StatementShapes",
    "TenantPurged",
    "TransactionConflict",
    "UniqueViolation",
    "batch_of",
    "compiled",
    "compiled_statements",
    "connect",
    "in_batch",
    "translated",
]
