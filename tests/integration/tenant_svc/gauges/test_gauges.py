"""Levels on a real database: exactly to the limit, once per key, and told to whoever depends on them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tenantmesh.chassis.background import Repeating
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import (
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.gauges import repository as gauge_repository
from tenantmesh.tenant_svc.gauges.gauge import Adjustment, Gauge, Report
from tenantmesh.tenant_svc.gauges.gauges import Gauges
from tests.integration.tenant_svc.metering import Allowances
from tests.integration.tenant_svc.stage import eventually

ACTOR = "the-key"
OWNER = "auth_svc"
"""Who reports users, in all tests of this database."""


async def adjust(
    gauges: Gauges,
    tenant: TenantId,
    delta: int,
    key: str,
    gauge: str = "storage_bytes",
    requester: str = "files",
    *,
    overrules: bool = False,
) -> Gauge:
    """The gauge after the call, however busy the database is: a key may simply be repeated."""
    while True:
        try:
            return await gauges.adjust(tenant, Adjustment(gauge, delta, key, requester, overrules), ACTOR)
        except Unavailable:
            continue


async def report(gauges: Gauges, tenant: TenantId, level: int, version: int, gauge: str = "storage_bytes") -> Gauge:
    return await gauges.report(tenant, Report(gauge, level, version, OWNER), ACTOR)


async def level(allowances: Allowances, tenant: TenantId, gauge: str = "storage_bytes") -> int | None:
    found: int | None = await allowances.superuser.fetchval(
        "select level from tenant.gauges where tenant_id = $1 and feature_id = $2", tenant, gauge
    )
    return found


async def crossings(allowances: Allowances, tenant: TenantId) -> list[tuple[str, str, str, str]]:
    rows = await allowances.superuser.fetch(
        """select feature_id, before, after, actor from tenant.entitlement_events
        where tenant_id = $1 and type = 'LIMIT_CROSSED' order by position""", tenant,
    )  # fmt: skip
    return [tuple(row) for row in rows]


async def test_a_level_rises_to_its_limit_and_falls_to_zero(gauges: Gauges, allowances: Allowances) -> None:
    tenant = await allowances.tenant(storage_bytes=10)
    assert await adjust(gauges, tenant, 10, "a") == Gauge("storage_bytes", 10, 10)
    with pytest.raises(ResourceExhausted) as caught:
        await adjust(gauges, tenant, 1, "b")
    assert caught.value.reason == "LIMIT_REACHED"
    assert caught.value.metadata == {
        "gauge": "storage_bytes", "limit": "10", "level": "10", "scope": "tenant", "plan": "premium",
    }  # fmt: skip
    assert await adjust(gauges, tenant, -4, "c") == Gauge("storage_bytes", 6, 10)
    assert await adjust(gauges, tenant, -100, "d") == Gauge("storage_bytes", 0, 10)
    assert await level(allowances, tenant) == 0


async def test_of_fifty_parallel_calls_at_the_edge_exactly_the_limit_is_reached(
    gauges: Gauges, allowances: Allowances
) -> None:
    tenant = await allowances.tenant(storage_bytes=30)
    calls = (adjust(gauges, tenant, 1, f"object-{number}") for number in range(50))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, ResourceExhausted)]
    assert sorted(each.level for each in outcomes if isinstance(each, Gauge)) == list(range(1, 31))
    assert (len(refused), await level(allowances, tenant)) == (20, 30)


async def test_of_fifty_parallel_calls_with_one_key_one_counts(gauges: Gauges, allowances: Allowances) -> None:
    tenant = await allowances.tenant(storage_bytes=300)
    outcomes = await asyncio.gather(*(adjust(gauges, tenant, 7, "the object") for _ in range(50)))
    assert set(outcomes) == {Gauge("storage_bytes", 7, 300)}
    await adjust(gauges, tenant, 5, "another object")
    assert await adjust(gauges, tenant, 7, "the object") == Gauge("storage_bytes", 7, 300)
    assert await level(allowances, tenant) == 12


async def test_a_key_means_one_change(gauges: Gauges, allowances: Allowances) -> None:
    other = await allowances.feature("GAUGE")
    tenant, foreign = await allowances.tenant(**{other: 5}), await allowances.tenant()
    await adjust(gauges, tenant, 3, "key")
    with pytest.raises(AlreadyExists) as caught:
        await adjust(gauges, tenant, 4, "key")
    assert caught.value.reason == "REQUEST_ID_REUSED"
    # Other levels and other tenants have keys of their own.
    assert (await adjust(gauges, tenant, 4, "key", other)).level == 4
    assert (await adjust(gauges, foreign, 5, "key")).level == 5
    assert await level(allowances, tenant) == 3


async def test_services_choose_their_keys_apart(gauges: Gauges, allowances: Allowances) -> None:
    tenant = await allowances.tenant(storage_bytes=10)
    assert (await adjust(gauges, tenant, 3, "upload-1")).level == 3
    assert (await adjust(gauges, tenant, 3, "upload-1", requester="mail")).level == 6
    assert (await adjust(gauges, tenant, 4, "upload-2", requester="mail")).level == 10
    for _ in range(2):
        assert (await adjust(gauges, tenant, 3, "upload-1")).level == 3
        assert (await adjust(gauges, tenant, 3, "upload-1", requester="mail")).level == 6
    assert await level(allowances, tenant) == 10


async def test_a_key_from_before_keys_had_requesters_is_everybodys(gauges: Gauges, allowances: Allowances) -> None:
    tenant = await allowances.tenant(storage_bytes=10)
    await adjust(gauges, tenant, 3, "key")
    await allowances.superuser.execute(
        "update tenant.gauge_adjustments set requester = default where tenant_id = $1", tenant
    )
    assert (await adjust(gauges, tenant, 3, "key")).level == 3
    assert (await adjust(gauges, tenant, 3, "key", requester="mail")).level == 3
    assert await level(allowances, tenant) == 3


async def test_a_refused_change_may_be_made_later(gauges: Gauges, allowances: Allowances) -> None:
    tenant = await allowances.tenant(storage_bytes=1)
    with pytest.raises(ResourceExhausted):
        await adjust(gauges, tenant, 2, "key")
    await allowances.limit(tenant, "storage_bytes", 2)
    assert (await adjust(gauges, tenant, 2, "key")).level == 2


async def test_a_level_without_a_limit_rises_as_far_as_amounts_go(gauges: Gauges, allowances: Allowances) -> None:
    tenant = await allowances.tenant(storage_bytes=None)
    assert await adjust(gauges, tenant, LARGEST_AMOUNT, "a") == Gauge("storage_bytes", LARGEST_AMOUNT, None)
    with pytest.raises(ResourceExhausted):
        await adjust(gauges, tenant, 1, "b")


async def test_lowering_is_possible_above_the_limit(gauges: Gauges, allowances: Allowances) -> None:
    tenant = await allowances.tenant(storage_bytes=10)
    await adjust(gauges, tenant, 10, "a")
    await allowances.limit(tenant, "storage_bytes", 5)
    with pytest.raises(ResourceExhausted):
        await adjust(gauges, tenant, 1, "b")
    assert (await adjust(gauges, tenant, -1, "c")).level == 9
    assert await crossings(allowances, tenant) == []
    assert (await adjust(gauges, tenant, -4, "d")).level == 5
    assert await crossings(allowances, tenant) == [("storage_bytes", "9 of 5", "5 of 5", ACTOR)]
    assert (await adjust(gauges, tenant, -1, "e")).level == 4
    assert len(await crossings(allowances, tenant)) == 1


async def test_a_reported_level_is_its_owners_and_newer_reports_win(gauges: Gauges, allowances: Allowances) -> None:
    tenant = await allowances.tenant(users=10)
    assert await report(gauges, tenant, 7, 3, "users") == Gauge("users", 7, 10)
    assert await report(gauges, tenant, 5, 2, "users") == Gauge("users", 7, 10)
    assert await report(gauges, tenant, 5, 3, "users") == Gauge("users", 7, 10)
    assert await report(gauges, tenant, 8, 4, "users") == Gauge("users", 8, 10)
    for delta in (1, -1):
        with pytest.raises(FailedPrecondition) as caught:
            await adjust(gauges, tenant, delta, "key", "users", OWNER)
        assert caught.value.reason == "GAUGE_REPORTED"
    assert await level(allowances, tenant, "users") == 8


async def test_the_first_who_reports_a_gauge_owns_it_in_all_tenants(gauges: Gauges, allowances: Allowances) -> None:
    gauge = await allowances.feature("GAUGE")
    one, other = await allowances.tenant(**{gauge: 10}), await allowances.tenant(**{gauge: 10})
    await adjust(gauges, other, 1, "before", gauge, "anybody")
    with pytest.raises(NotFound):
        await gauges.report(TenantId(uuid7()), Report(gauge, 1, 1, "nobody's"), ACTOR)
    await asyncio.gather(*(gauges.report(one, Report(gauge, n, n, "rooms"), ACTOR) for n in (1, 2, 3)))
    assert await level(allowances, one, gauge) == 3
    for tenant in (one, other):
        for change in (
            gauges.report(tenant, Report(gauge, 9, 99, "another"), ACTOR),
            gauges.adjust(tenant, Adjustment(gauge, 1, "after", "another"), ACTOR),
        ):
            with pytest.raises(PermissionDenied) as caught:
                await change
            assert (caught.value.reason, caught.value.metadata["owner"]) == ("GAUGE_OWNED", "rooms")
    assert (await adjust(gauges, other, 1, "mended", gauge, "an operator", overrules=True)).level == 2


async def test_a_new_owner_counts_its_versions_anew(gauges: Gauges, allowances: Allowances) -> None:
    gauge = await allowances.feature("GAUGE")
    tenant, untold = await allowances.tenant(**{gauge: 10}), await allowances.tenant(**{gauge: 10})
    for each in (tenant, untold):
        await gauges.report(each, Report(gauge, 5, 7, "old"), ACTOR)
    await allowances.superuser.execute("update tenant.gauges set reporter = null where tenant_id = $1", untold)
    await allowances.superuser.execute("update tenant.features set owner = 'new' where feature_id = $1", gauge)
    assert (await gauges.report(tenant, Report(gauge, 6, 1, "new"), ACTOR)).level == 6
    assert (await gauges.report(tenant, Report(gauge, 1, 1, "new"), ACTOR)).level == 6
    assert (await gauges.report(untold, Report(gauge, 6, 1, "new"), ACTOR)).level == 5, "of before: perhaps its own"
    assert (await gauges.report(untold, Report(gauge, 6, 8, "new"), ACTOR)).level == 6


async def test_of_parallel_reports_the_newest_stays(gauges: Gauges, allowances: Allowances) -> None:
    tenant = await allowances.tenant(users=10)
    await asyncio.gather(*(report(gauges, tenant, version % 9, version, "users") for version in range(1, 9)))
    assert await level(allowances, tenant, "users") == 8


async def test_a_report_that_crosses_the_limit_is_told_both_ways(gauges: Gauges, allowances: Allowances) -> None:
    tenant = await allowances.tenant(users=10)
    for version, reported in enumerate([10, 11, 12, 10, 3, 11], start=1):
        await report(gauges, tenant, reported, version, "users")
    assert await crossings(allowances, tenant) == [
        ("users", "10 of 10", "11 of 10", ACTOR),
        ("users", "12 of 10", "10 of 10", ACTOR),
        ("users", "3 of 10", "11 of 10", ACTOR),
    ]


@pytest.mark.parametrize("gauge", ["no_such_thing", "api_requests", "core"])
async def test_only_gauges_have_levels(gauges: Gauges, allowances: Allowances, gauge: str) -> None:
    tenant, nobody = await allowances.tenant(), TenantId(uuid7())
    for refused, reason in [
        (adjust(gauges, tenant, 1, "key", gauge), "FEATURE_NOT_FOUND"),
        (report(gauges, tenant, 1, 1, gauge), "FEATURE_NOT_FOUND"),
        (adjust(gauges, nobody, 1, "key"), "TENANT_NOT_FOUND"),
        (report(gauges, nobody, 1, 1), "TENANT_NOT_FOUND"),
    ]:
        with pytest.raises(NotFound) as caught:
            await refused
        assert caught.value.reason == reason
    assert await level(allowances, tenant, gauge) is None


async def test_keys_are_forgotten_after_their_time_and_not_before(gauges: Gauges, allowances: Allowances) -> None:
    tenant = await allowances.tenant(storage_bytes=10)
    for key in ("old", "young"):
        await adjust(gauges, tenant, 3, key)
    await allowances.superuser.execute(
        """update tenant.gauge_adjustments set create_time = now() - interval '7 days'
        - case key when 'old' then interval '1 second' else interval '-1 minute' end where tenant_id = $1""", tenant,
    )  # fmt: skip

    async def kept() -> list[str]:
        rows = await allowances.superuser.fetch(
            "select key from tenant.gauge_adjustments where tenant_id = $1 order by key", tenant
        )
        return [row["key"] for row in rows]

    async def is_forgotten() -> bool:
        return await kept() == ["young"]

    sweepers = [Repeating("quota-keys", gauges.forget_keys, timedelta(milliseconds=20)) for _ in range(2)]
    for each in sweepers:
        await each.start()
    await eventually(is_forgotten)
    for each in sweepers:
        await each.close()
    assert await is_forgotten()
    assert (await adjust(gauges, tenant, 3, "young")).level == 6
    assert (await adjust(gauges, tenant, 3, "old")).level == 9


async def test_a_limit_that_is_lowered_while_a_call_waits_counts(
    gauges: Gauges, allowances: Allowances, doors: Doors
) -> None:
    tenant = await allowances.tenant(storage_bytes=10)
    await adjust(gauges, tenant, 4, "a")
    async with doors.tenant(tenant) as connection:
        await gauge_repository.lock(connection, tenant, "storage_bytes")
        waiting = asyncio.create_task(gauges.adjust(tenant, Adjustment("storage_bytes", 2, "b", "files"), ACTOR))
        await eventually(allowances.somebody_waits)
        await allowances.limit(tenant, "storage_bytes", 5)
    with pytest.raises(ResourceExhausted):
        await waiting
    assert await level(allowances, tenant) == 4
