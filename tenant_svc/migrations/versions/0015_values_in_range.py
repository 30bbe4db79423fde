"""Times and amounts that can be read again, in every row.

Until now the last microsecond of the year 9999 was stored as infinity, which nothing that reads a tenant can read.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# The owner, too, sees no rows of tenants while row-level security is forced.
#
# An end "at the end of time" means no end, which is NULL. A grant that was to begin then stays one that never begins in
# practice, and a grace period one that never ends: neither may be NULL, so each gets the last time that is accepted.
# A grant that began "at the beginning of time" begins with its creation.
_REPAIR = """
ALTER TABLE tenant.grants NO FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant.overrides NO FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant.plan_terms NO FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant.operations NO FORCE ROW LEVEL SECURITY;

UPDATE tenant.grants SET expire_time = NULL WHERE expire_time >= '9999-12-31 23:59:59.999999+00';
UPDATE tenant.grants SET effective_time = '9999-12-31 23:59:59.999998+00'
    WHERE effective_time >= '9999-12-31 23:59:59.999999+00';
UPDATE tenant.grants SET effective_time = create_time WHERE effective_time <= '0001-01-01 00:00:00+00';
UPDATE tenant.overrides SET expire_time = NULL WHERE expire_time >= '9999-12-31 23:59:59.999999+00';
UPDATE tenant.plan_terms SET grace_until = '9999-12-31 23:59:59.999998+00'
    WHERE grace_until >= '9999-12-31 23:59:59.999999+00';
UPDATE tenant.operations SET request = jsonb_set(request, '{grace_until}', '"9999-12-31T23:59:59.999998+00:00"')
    WHERE end_time IS NULL AND request ->> 'grace_until' LIKE '9999-12-31T23:59:59.999999%';

ALTER TABLE tenant.operations FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant.plan_terms FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant.overrides FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant.grants FORCE ROW LEVEL SECURITY;
"""

_CHECKS = """
ALTER TABLE tenant.grants
    ADD CONSTRAINT grants_effective_time_check CHECK (
        effective_time > '0001-01-01 00:00:00+00' and effective_time < '9999-12-31 23:59:59.999999+00'),
    ADD CONSTRAINT grants_expire_time_check CHECK (
        expire_time > '0001-01-01 00:00:00+00' and expire_time < '9999-12-31 23:59:59.999999+00'),
    ADD CONSTRAINT grants_range_check CHECK (
        amount <= 9007199254740991 and balance <= amount and max_rollover <= amount
        and 0 <= priority and priority <= 1000);
ALTER TABLE tenant.overrides
    ADD CONSTRAINT overrides_expire_time_check CHECK (
        expire_time > '0001-01-01 00:00:00+00' and expire_time < '9999-12-31 23:59:59.999999+00'),
    ADD CONSTRAINT overrides_limit_check CHECK (
        0 <= (value -> 'limit')::numeric and (value -> 'limit')::numeric <= 9007199254740991);
ALTER TABLE tenant.plan_terms
    ADD CONSTRAINT plan_terms_grace_until_check CHECK (
        grace_until > '0001-01-01 00:00:00+00' and grace_until < '9999-12-31 23:59:59.999999+00');
ALTER TABLE tenant.quota_ledger
    ADD CONSTRAINT quota_ledger_range_check CHECK (given <= 4611686018427387904);
ALTER TABLE tenant.gauges
    ADD CONSTRAINT gauges_range_check CHECK (level <= 9007199254740991);
ALTER TABLE tenant.allocation_items
    ADD CONSTRAINT allocation_items_range_check CHECK (allocated <= 9007199254740991);
"""


def upgrade() -> None:
    script(_REPAIR)
    script(_CHECKS)
