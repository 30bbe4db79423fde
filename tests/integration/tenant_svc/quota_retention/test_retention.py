"""What is long over is forgotten, and nothing that somebody may still ask for or return."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.allocations.allocation import AllocationState, Mode, NewAllocation
from tenantmesh.tenant_svc.allocations.allocations import Allocations
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.quota_retention.retention import Retention
from tenantmesh.tenant_svc.settings import QuotaSettings
from tests.integration.tenant_svc.metering import Allowances, lease_one, ledger_at

MINUTE = timedelta(minutes=1)
OLD = timedelta(days=90)
LONG_AGO = timedelta(days=400)
LONGEST_PERIOD = timedelta(days=31)


@pytest.fixture(scope="session")
def retention(doors: Doors) -> Retention:
    return Retention(doors, QuotaSettings())


async def everything(retention: Retention) -> None:
    """Two processes forget until there is no more, as their sweepers do."""

    async def one() -> None:
        for forget in (retention.forget_allocations, retention.forget_periods):
            while await forget():
                pass

    await asyncio.gather(one(), one())
    await one()  # who came while the other was at it has left some to it


async def reserve(allocations: Allocations, tenant: TenantId, meter: str, amount: int = 1) -> uuid.UUID:
    new = NewAllocation({meter: amount}, Mode.NORMAL, timedelta(minutes=5))
    made = await allocations.allocate(tenant, new, RequestKey("the caller", uuid.uuid4()))
    assert made.id is not None
    return made.id


async def ages(allowances: Allowances, allocation: uuid.UUID, by: timedelta) -> None:
    """Lets the reservation's time have been over for so long."""
    await allowances.superuser.execute(
        "update tenant.allocations set expire_time = now() - $2::interval where allocation_id = $1", allocation, by
    )


async def kept(allowances: Allowances, tenant: TenantId) -> set[uuid.UUID]:
    """The tenant's allocations; each has its items."""
    query = "select allocation_id from tenant.{} where tenant_id = $1"
    found, with_items = [
        {row["allocation_id"] for row in await allowances.superuser.fetch(query.format(table), tenant)}
        for table in ("allocations", "allocation_items")
    ]
    assert found == with_items
    return found


async def test_what_has_ended_is_forgotten_after_its_time_and_not_before(
    retention: Retention, allocations: Allocations, allowances: Allowances
) -> None:
    tenant = await allowances.tenant(api_requests=100)
    made = [await reserve(allocations, tenant, "api_requests") for _ in range(7)]
    committed, released, expired, young, committed_young, reserved, _ = made
    for each in (committed, committed_young):
        await allocations.commit(tenant, each, {})
    for each in (released, young):
        await allocations.release(tenant, each)
    await allowances.superuser.execute(
        "update tenant.allocations set state = 'EXPIRED' where allocation_id = $1", expired
    )
    for each in (committed, released, expired, reserved):
        await ages(allowances, each, OLD + MINUTE)
    for each in (young, committed_young):
        await ages(allowances, each, OLD - MINUTE)
    await everything(retention)
    left = await kept(allowances, tenant)
    assert left - {reserved} == {young, committed_young, made[-1]}
    # What is overdue ends first, perhaps by a service that other tests have running: its unit has come back then.
    assert await allowances.given(tenant, "api_requests") == [(4 + (reserved in left),) * 2]
    with pytest.raises(NotFound):
        await allocations.commit(tenant, committed, {})
    assert (await allocations.commit(tenant, committed_young, {})).state is AllocationState.COMMITTED


async def test_batches_of_any_tenants_are_forgotten(
    retention: Retention, allocations: Allocations, allowances: Allowances
) -> None:
    tenants = [await allowances.tenant(api_requests=5000) for _ in range(2)]
    for tenant in tenants:
        await allowances.superuser.execute(
            """insert into tenant.allocations (tenant_id, allocation_id, state, expire_time, create_time)
            select $1, gen_random_uuid(), 'COMMITTED', now() - interval '91 days', now() - interval '91 days'
            from generate_series(1, 1500)""", tenant,
        )  # fmt: skip
        await allowances.superuser.execute(
            """insert into tenant.allocation_items select tenant_id, allocation_id, 'api_requests', now(), 1, 1
            from tenant.allocations where tenant_id = $1""", tenant,
        )  # fmt: skip
    await everything(retention)
    for tenant in tenants:
        assert await kept(allowances, tenant) == set()


async def used(doors: Doors, allowances: Allowances, ago: timedelta) -> tuple[TenantId, uuid.UUID, datetime]:
    """A tenant that has used 5 of its plan and 2 of a grant so long ago, and when that was."""
    tenant = await allowances.tenant(api_requests=5)
    grant = await allowances.grant(tenant, "api_requests", 10)
    moment = datetime.now(UTC) - ago
    slice_ = await lease_one(ledger_at(doors, moment), tenant, "api_requests", 7, 7)
    assert slice_.granted == 7
    return tenant, grant, moment


async def test_periods_are_forgotten_with_what_grants_gave_in_them(
    retention: Retention, doors: Doors, allowances: Allowances
) -> None:
    day = timedelta(days=1)
    old, old_grant, _ = await used(doors, allowances, LONG_AGO + LONGEST_PERIOD + day)
    young, young_grant, _ = await used(doors, allowances, LONG_AGO + LONGEST_PERIOD - 2 * day)
    now, grant_of_now, _ = await used(doors, allowances, timedelta(0))
    await everything(retention)
    assert (await allowances.given(old, "api_requests"), await allowances.burnt(old_grant)) == ([], [])
    for tenant, grant in ((young, young_grant), (now, grant_of_now)):
        assert (await allowances.given(tenant, "api_requests"), await allowances.burnt(grant)) == ([(7, 5)], [2])
    assert await allowances.balance(old_grant) == 8  # used is used


async def test_units_of_a_period_that_is_forgotten_come_back_to_nobody(
    retention: Retention, doors: Doors, ledger: Ledger, allowances: Allowances
) -> None:
    tenant, grant, moment = await used(doors, allowances, LONG_AGO + LONGEST_PERIOD + timedelta(days=1))
    await everything(retention)
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    with pytest.raises(NotFound):
        await ledger.give_back(tenant, "api_requests", 7, start)
    assert (await allowances.given(tenant, "api_requests"), await allowances.balance(grant)) == ([], 8)


async def test_a_period_stays_while_some_of_it_is_reserved(
    retention: Retention, doors: Doors, allocations: Allocations, allowances: Allowances
) -> None:
    tenant = await allowances.tenant(api_requests=5)
    grant = await allowances.grant(tenant, "api_requests", 10)
    moment = datetime.now(UTC) - LONG_AGO - LONGEST_PERIOD - timedelta(days=1)
    made = await reserve(Allocations(doors, ledger_at(doors, moment), uuid7), tenant, "api_requests", 7)
    await ages(allowances, made, -timedelta(hours=1))
    await everything(retention)
    assert (await allowances.given(tenant, "api_requests"), await allowances.burnt(grant)) == ([(7, 5)], [2])
    await allocations.release(tenant, made)
    assert (await allowances.given(tenant, "api_requests"), await allowances.balance(grant)) == ([(0, 0)], 10)
    await everything(retention)
    assert (await allowances.given(tenant, "api_requests"), await allowances.burnt(grant)) == ([], [])


@pytest.mark.parametrize("setting", ["allocation_retention", "period_retention"])
def test_nothing_is_forgotten_sooner_than_is_promised(setting: str) -> None:
    assert getattr(QuotaSettings.model_validate({setting: "7d"}), setting) == timedelta(days=7)
    with pytest.raises(ValidationError, match=setting):
        QuotaSettings.model_validate({setting: "6d"})
