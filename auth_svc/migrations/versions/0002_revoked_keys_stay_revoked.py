"""A key that is revoked stays so, whatever the service's role is made to write.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A policy sees the old row or the new one, never both; a trigger sees what changes.
_FUNCTION = """
CREATE FUNCTION auth.keep_revoked() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER AS $function$
BEGIN
    RAISE EXCEPTION 'a revoked key stays revoked' USING ERRCODE = 'insufficient_privilege';
END
$function$
"""
_TRIGGER = """
CREATE TRIGGER keep_revoked BEFORE UPDATE ON auth.system_keys FOR EACH ROW
WHEN (old.revoke_time IS NOT NULL AND new.revoke_time IS DISTINCT FROM old.revoke_time)
EXECUTE FUNCTION auth.keep_revoked()
"""


def upgrade() -> None:
    op.execute(_FUNCTION)
    op.execute("REVOKE ALL ON FUNCTION auth.keep_revoked() FROM PUBLIC")
    op.execute(_TRIGGER)
