"""Grants that together are more than a message or a bigint holds: they count as the largest amount, everywhere."""

from __future__ import annotations

from tenantmesh.interceptors.quotas import LARGEST_AMOUNT, Ask
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.allowances.mapping import lease_message
from tenantmesh.tenant_svc.checks.checks import Checks
from tenantmesh.tenant_svc.checks.mapping import result_message
from tenantmesh.tenant_svc.checks.rules import FeatureCheck
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries
from tenantmesh.tenant_svc.entitlements.mapping import entitlements_message
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tests.integration.tenant_svc.entitled import METER, Rows

MANY = """insert into tenant.grants (tenant_id, grant_id, feature_id, amount, priority, effective_time, max_rollover,
    min_rollover, reason, balance, balance_period, create_time)
    select $1, gen_random_uuid(), $2, $3, 0, now(), $3, 0, '', $3, date_trunc('day', now(), 'UTC'), now()
    from generate_series(1, 1100)"""


async def test_more_grants_than_a_message_holds_are_read_and_used(
    acme: Tenant, rows: Rows, entitlements: EntitlementQueries, checks: Checks, ledger: Ledger
) -> None:
    await rows.superuser.execute(MANY, acme.id, METER, LARGEST_AMOUNT)
    for used in (0, LARGEST_AMOUNT):
        whole = entitlements_message(await entitlements.standing(acme.id), with_usage=True)
        (read,) = [each for each in whole.entitlements if each.feature == METER]
        assert (read.granted, read.usage.limit) == (LARGEST_AMOUNT, LARGEST_AMOUNT)
        assert (read.usage.used, read.usage.remaining) == (used, LARGEST_AMOUNT)
        (answer,) = await checks.check_many([FeatureCheck(acme.slug, METER, LARGEST_AMOUNT)])
        assert result_message(answer).decision.allowed
        leased = await ledger.lease(acme.id, [Ask(METER, LARGEST_AMOUNT, LARGEST_AMOUNT)])
        (taken,) = lease_message(leased).slices
        assert (taken.granted, taken.left, taken.limit) == (LARGEST_AMOUNT, LARGEST_AMOUNT, LARGEST_AMOUNT)
