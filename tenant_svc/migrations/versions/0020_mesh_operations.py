"""Operations of the mesh as a whole, and their jobs.

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import TableGrant, catalog, ddl

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE tenant.mesh_operations (
    operation_id UUID NOT NULL,
    subject TEXT NOT NULL,
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    request JSONB NOT NULL,
    progress JSONB NOT NULL,
    error JSONB,
    cancel_requested BOOLEAN NOT NULL,
    actor TEXT NOT NULL,
    effective_time TIMESTAMP WITH TIME ZONE NOT NULL,
    create_time TIMESTAMP WITH TIME ZONE NOT NULL,
    end_time TIMESTAMP WITH TIME ZONE,
    requester TEXT,
    request_id UUID,
    digest TEXT,
    PRIMARY KEY (operation_id),
    CONSTRAINT mesh_operations_request_key UNIQUE (requester, request_id),
    CONSTRAINT mesh_operations_state_check
        CHECK (state in ('SCHEDULED', 'CHECKING', 'APPLYING', 'SUCCEEDED', 'FAILED', 'CANCELLED'))
);
CREATE UNIQUE INDEX mesh_operations_one_under_way_idx ON tenant.mesh_operations (type, subject)
    WHERE end_time is null and subject <> '';
"""

# The system door may put a job about an operation of the mesh into the queue, and no other: jobs about an operation
# of a tenant come from the tenant's own transactions. It can neither see nor change a job.
_ENQUEUE = """
GRANT USAGE ON SCHEMA jobs TO tenant_directory;
GRANT INSERT (priority, entrypoint, payload, execute_after, status) ON jobs.pgqueuer TO tenant_directory;
GRANT USAGE ON SEQUENCE jobs.pgqueuer_id_seq TO tenant_directory;
CREATE POLICY mesh_jobs ON jobs.pgqueuer AS PERMISSIVE FOR INSERT TO tenant_directory WITH CHECK (
    status = 'queued'
    AND substr(payload, 1, 11) = convert_to('operations/', 'UTF8')
    AND length(payload) = 47
);
"""


def upgrade() -> None:
    script(_TABLE)
    table = sa.Table("mesh_operations", sa.MetaData(), schema="tenant")
    granted = [TableGrant("tenant_directory", ("SELECT", "INSERT", "UPDATE"))]
    for statement in ddl(catalog(table, "operations of the mesh", granted, secret=True)):
        op.execute(statement)
    script(_ENQUEUE)
