"""Tables refuse what the rules refuse: texts that are empty or too long, and times that can't be read again.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_CHECKS = {
    "users": {
        "email": "char_length(email) between 1 and 254",
        "email_normalised": "octet_length(email_normalised) between 1 and 254",
        "display_name": "char_length(display_name) between 1 and 254",
    },
    "system_keys": {
        "name": "char_length(name) between 2 and 63",
        "lifetime": "expire_time > create_time",
    },
    "sessions": {
        column: f"{column} > '0001-01-01 00:00:00+00' and {column} < '9999-12-31 23:59:59.999999+00'"
        for column in ("begin_time", "use_time", "expire_time", "revoke_time")
    },
}


def upgrade() -> None:
    for table, checks in _CHECKS.items():
        for name, check in checks.items():
            constraint = f"{table}_{name}_check"
            script(f"ALTER TABLE auth.{table} DROP CONSTRAINT IF EXISTS {constraint}")
            script(f"ALTER TABLE auth.{table} ADD CONSTRAINT {constraint} CHECK ({check})")
