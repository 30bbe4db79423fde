"""What every QuotaLedger must do, on every adapter."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger
from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.quotas import Ask, QuotaLedger, Slice
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Database, connect
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.allocations.expiry import StoredReservations
from tenantmesh.tenant_svc.allowances.ledger import Ledger, PostgresLedger
from tenantmesh.tenant_svc.history.history import record_first_plan
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.metering import Allowances

READS, WRITES, OPEN = "api_requests", "ledger_writes", "ledger_open"


class Made:
    """A ledger, and tenants whose limits a test sets."""

    def __init__(self, ledger: QuotaLedger, tenant: Callable[[dict[str, int | None]], Awaitable[TenantId]]) -> None:
        self.ledger = ledger
        self._tenant = tenant

    async def tenant(self, **limits: int | None) -> TenantId:
        return await self._tenant(limits)

    async def lease(self, tenant: TenantId, meter: str, want: int, need: int = 1) -> Slice:
        (found,) = await self.ledger.lease(tenant, [Ask(meter, want, need)])
        return found


def in_memory() -> Made:
    limits: dict[tuple[TenantId, str], int | None] = {}

    def limit(tenant: TenantId, meter: str) -> int | None:
        if (tenant, meter) not in limits:
            raise NotFound("FEATURE_NOT_FOUND", "No such feature.")
        return limits[tenant, meter]

    async def tenant(given: dict[str, int | None]) -> TenantId:
        made = TenantId(uuid.uuid4())
        limits.update({(made, meter): amount for meter, amount in given.items()})
        return made

    return Made(MemoryQuotaLedger(limit), tenant)


@pytest.fixture(params=["memory", "postgres"])
async def made(request: pytest.FixtureRequest) -> AsyncIterator[Made]:
    if request.param == "memory":
        yield in_memory()
        return
    worker: WorkerDatabase = request.getfixturevalue("postgres")
    settings = DatabaseSettings(url=worker.url("tenant_app"), system_url=worker.url("tenant_directory"))
    database = Database(settings, schema="tenant")
    superuser = await connect(worker.admin_url)
    await database.open()
    doors = Doors(database, OUTAGE)
    allowances = Allowances(superuser, Tenants(doors, uuid7, record_first_plan, LifeSettings()))
    for feature in (WRITES, OPEN):
        await superuser.execute(
            """insert into tenant.features (feature_id, type, display_name, unit, period, rollout_plan_ids, create_time,
            update_time, version) values ($1, 'METERED', 'A feature', 'piece', 'DAY', '[]', now(), now(), 1)
            on conflict do nothing""", feature,
        )  # fmt: skip

    async def tenant(limits: dict[str, int | None]) -> TenantId:
        return await allowances.tenant(**limits)

    yield Made(PostgresLedger(Ledger(doors, StoredReservations(doors))), tenant)
    await superuser.close()
    await database.close()


async def test_as_much_is_given_as_is_wanted_or_left(made: Made) -> None:
    tenant = await made.tenant(api_requests=10)
    first, second, third = [await made.lease(tenant, READS, 7) for _ in range(3)]
    assert [(each.granted, each.left, each.limit) for each in (first, second, third)] == [
        (7, 3, 10), (3, 0, 10), (0, 0, 10),
    ]  # fmt: skip
    assert first.meter == READS
    assert timedelta() < first.ends_in <= timedelta(days=1)
    assert first.period_start == second.period_start


async def test_less_than_is_needed_is_not_given(made: Made) -> None:
    tenant = await made.tenant(api_requests=10)
    refused = await made.lease(tenant, READS, 20, need=11)
    assert (refused.granted, refused.left) == (0, 10)
    assert (await made.lease(tenant, READS, 20, need=10)).granted == 10


async def test_all_meters_or_none(made: Made) -> None:
    tenant = await made.tenant(api_requests=10, ledger_writes=2)
    asks = [Ask(READS, 4, 1), Ask(WRITES, 3, 3)]
    assert [(each.meter, each.granted, each.left) for each in await made.ledger.lease(tenant, asks)] == [
        (READS, 0, 10), (WRITES, 0, 2),
    ]  # fmt: skip
    asks = [Ask(WRITES, 3, 2), Ask(READS, 4, 1)]
    given = await made.ledger.lease(tenant, asks)
    assert [(each.meter, each.granted) for each in given] == [(WRITES, 2), (READS, 4)], "in the order of the asks"


async def test_the_unlimited_says_so(made: Made) -> None:
    tenant = await made.tenant(api_requests=1, ledger_open=None)
    reads, anything = await made.ledger.lease(tenant, [Ask(READS, 1, 1), Ask(OPEN, 10**9, 10**9)])
    assert (reads.granted, anything.limit) == (1, None)
    reads, anything = await made.ledger.lease(tenant, [Ask(READS, 1, 1), Ask(OPEN, 1, 1)])
    assert (reads.granted, reads.left, anything.limit) == (0, 0, None), "and is in nobody's way"


async def test_what_is_given_back_can_be_given_again(made: Made) -> None:
    tenant = await made.tenant(api_requests=10)
    given = await made.lease(tenant, READS, 10)
    assert await made.ledger.give_back(tenant, READS, 4, given.period_start) == 4
    assert (await made.lease(tenant, READS, 10)).granted == 4
    assert await made.ledger.give_back(tenant, READS, 1000, given.period_start) == 10
    assert (await made.lease(tenant, READS, 1000)).granted == 10, "never more than was given"


async def test_units_of_another_period_are_not_of_this_one(made: Made) -> None:
    tenant = await made.tenant(api_requests=10)
    given = await made.lease(tenant, READS, 10)
    with pytest.raises(NotFound) as caught:
        await made.ledger.give_back(tenant, READS, 10, given.period_start - timedelta(days=1))
    assert caught.value.reason == "LEASE_NOT_FOUND"
    assert (await made.lease(tenant, READS, 1)).granted == 0


async def test_units_come_back_to_the_accounts_under_which_they_were_leased(made: Made) -> None:
    tenant, (mine, other) = await made.tenant(api_requests=10), ("a" * 36, "b" * 36)
    (given,) = await made.ledger.lease(tenant, [Ask(READS, 6, 6)], mine)
    await made.ledger.lease(tenant, [Ask(READS, 1, 1)], other)
    start = given.period_start
    for accounts in (("",), ("c" * 36,)):
        with pytest.raises(NotFound) as caught:
            await made.ledger.give_back(tenant, READS, 6, start, accounts)
        assert caught.value.reason == "LEASE_NOT_FOUND"
    assert await made.ledger.give_back(tenant, READS, 6, start, (other,)) == 1, "never what others have out"
    assert await made.ledger.give_back(tenant, READS, 4, start, (other, mine, "")) == 4
    assert await made.ledger.give_back(tenant, READS, 4, start, (mine,)) == 2
    assert (await made.lease(tenant, READS, 100)).granted == 10


async def test_tenants_are_apart(made: Made) -> None:
    acme, globex = await made.tenant(api_requests=3), await made.tenant(api_requests=3)
    assert (await made.lease(acme, READS, 3)).granted == 3
    assert (await made.lease(globex, READS, 3)).granted == 3


async def test_what_is_no_meter_is_said_to_be_none(made: Made) -> None:
    tenant = await made.tenant(api_requests=3)
    with pytest.raises(NotFound) as caught:
        await made.ledger.lease(tenant, [Ask("no_such_thing", 1, 1)])
    assert caught.value.reason == "FEATURE_NOT_FOUND"


async def test_parallel_takers_never_get_more_than_there_is(made: Made) -> None:
    tenant = await made.tenant(api_requests=50)
    found: Sequence[Slice] = await asyncio.gather(*(made.lease(tenant, READS, 3) for _ in range(30)))
    assert sum(each.granted for each in found) == 50
