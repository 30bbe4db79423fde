"""Login hosts and e-mail domains, with their proofs.

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import Purger, TableGrant, ddl, renew_purge_policies, tenant_owned

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

SCHEMA = "tenant"
APP = "tenant_app"
DIRECTORY = "tenant_directory"

_TOKENS = """
CREATE TABLE tenant.domain_tokens (
    tenant_id uuid NOT NULL PRIMARY KEY REFERENCES tenant.tenants (tenant_id),
    token text COLLATE "C" NOT NULL
);
"""
_NAMES = """
CREATE TABLE tenant.{table} (
    tenant_id uuid NOT NULL REFERENCES tenant.tenants (tenant_id),
    proof_id uuid NOT NULL,
    {column} text COLLATE "C" NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    state_time timestamptz NOT NULL,
    create_time timestamptz NOT NULL,
    verify_time timestamptz,
    check_time timestamptz,
    check_result text,
    check_detail text,
    next_check_time timestamptz NOT NULL,
    ask_time timestamptz,
    announced boolean NOT NULL,
    history jsonb NOT NULL,
    PRIMARY KEY (tenant_id, proof_id),
    CONSTRAINT {table}_{column}_key UNIQUE (tenant_id, {column}),
    CONSTRAINT {table}_state_check CHECK (state in ('PENDING', 'VERIFIED', 'FAILING', 'LAPSED'))
);
CREATE UNIQUE INDEX {table}_served_idx ON tenant.{table} ({column}) WHERE state in ('VERIFIED', 'FAILING');
CREATE INDEX {table}_lapsed_idx ON tenant.{table} ({column}) WHERE state = 'LAPSED';
"""

_PURGER = Purger(
    "tenant_purger",
    condition=(
        "(SELECT t.state = 'DELETED' AND t.purge_start_time IS NOT NULL FROM tenants AS t "
        "WHERE t.tenant_id = (SELECT current_setting('app.tenant_id')::uuid))"
    ),
    own={"tenants": "(state = 'DELETED' AND purge_start_time IS NOT NULL)"},
)


def upgrade() -> None:
    script(_TOKENS)
    _secure("domain_tokens", ("SELECT", "INSERT"))
    for table, column in (("login_hosts", "host"), ("email_domains", "domain")):
        script(_NAMES.format(table=table, column=column))
        _secure(table, ("SELECT", "INSERT", "UPDATE", "DELETE"), TableGrant(DIRECTORY, ("SELECT",)))
    script(renew_purge_policies("tenant", _PURGER))


def _secure(name: str, privileges: tuple[str, ...], *cross_tenant: TableGrant) -> None:
    table = sa.Table(name, sa.MetaData(), sa.Column("tenant_id", sa.Uuid, primary_key=True), schema=SCHEMA)
    for statement in ddl(tenant_owned(table, APP, privileges, cross_tenant=cross_tenant)):
        op.execute(statement)
