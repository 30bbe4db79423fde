"""The first migration."""

from alembic import op

from tenantmesh.runtime.row_security import ddl
from tests.integration.runtime.demo_service.tables import METADATA

revision = "0001"
down_revision = None

_SHOUT = """
CREATE FUNCTION tenant.shout() RETURNS text LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $$ SELECT upper('hey') $$
"""


def upgrade() -> None:
    for table in METADATA.sorted_tables:
        table.create(op.get_bind())
        for statement in ddl(table):
            op.execute(statement)
    op.execute(_SHOUT)
