"""E-mail addresses show every character that they have; keys end at a time that can be read again.

Until now a character that shows nothing was kept in the address as written, and in the part before the @ it made
another address. It is taken out, except where the address without it is another account's: that one is the genuine one.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INVISIBLE = (
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

# The owner, too, sees no rows of tenants while row-level security is forced. Keys belong to no tenant.
_CHANGES = """
ALTER TABLE auth.users NO FORCE ROW LEVEL SECURITY;
UPDATE auth.users AS hidden SET email = regexp_replace(email, :invisible, '', 'g'),
        email_normalised = regexp_replace(email_normalised, :invisible, '', 'g')
    WHERE email ~ :invisible AND NOT EXISTS (
        SELECT FROM auth.users AS shown WHERE shown.tenant_id = hidden.tenant_id AND shown.user_id <> hidden.user_id
            AND regexp_replace(shown.email_normalised, :invisible, '', 'g')
                = regexp_replace(hidden.email_normalised, :invisible, '', 'g'));
ALTER TABLE auth.users FORCE ROW LEVEL SECURITY;

ALTER TABLE auth.system_keys NO FORCE ROW LEVEL SECURITY;
UPDATE auth.system_keys SET expire_time = NULL WHERE expire_time >= '9999-12-31 23:59:59.999999+00';
ALTER TABLE auth.system_keys FORCE ROW LEVEL SECURITY;
ALTER TABLE auth.system_keys
    ADD CONSTRAINT system_keys_expire_time_check CHECK (
        expire_time > '0001-01-01 00:00:00+00' and expire_time < '9999-12-31 23:59:59.999999+00');
"""


def upgrade() -> None:
    script(_CHANGES.replace(":invisible", f"'{_INVISIBLE}'"))
