"""The directory of entitlements: what it forgets and when, and what it says of that."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.entitlements import EntitlementChange, Entitlements
from tenantmesh.interceptors.errors import OutOfRange, Unavailable
from tenantmesh.interceptors.lookup import MISS
from tenantmesh.interceptors.tenants import TenantId
from tests.unit.interceptors.plan_calls import ACME, Source, entitlements, until


async def test_the_directory_tells_whose_entitlements_may_have_changed() -> None:
    source = Source()
    source.set(entitlements(export=True))
    directory, told = EntitlementDirectory(source), list[TenantId | None]()
    directory.on_forgotten(told.append)
    await directory.start()
    try:
        await source.changes.put(EntitlementChange("1", caught_up=True))
        await until(lambda: directory.live)
        assert told == [None], "whatever was there before the watch"
        await directory.find(ACME.id)
        assert isinstance(directory.peek(ACME.id), Entitlements)
        await source.changes.put(EntitlementChange("2", ACME.id))
        await until(lambda: told[1:] == [ACME.id])
        assert not isinstance(directory.peek(ACME.id), Entitlements)
        await directory.find(ACME.id)
        await source.changes.put(EntitlementChange("3", everybody=True))
        await until(lambda: told[2:] == [None])
        assert not isinstance(directory.peek(ACME.id), Entitlements)
        await directory.find(ACME.id)
        await source.changes.put(OutOfRange("CURSOR_EXPIRED", "gone"))
        await until(lambda: not directory.live)
        assert told[3:] == [], "lost, and nobody has said yet that something changed"
        await source.changes.put(EntitlementChange("4", caught_up=True))
        await until(lambda: told[3:] == [None])
        assert not isinstance(directory.peek(ACME.id), Entitlements)
    finally:
        await directory.close()


async def test_a_tenant_that_is_new_costs_no_question_until_it_calls() -> None:
    source = Source()
    directory = EntitlementDirectory(source)
    await directory.start()
    try:
        await source.changes.put(EntitlementChange("1", caught_up=True))
        await until(lambda: directory.live)
        assert await directory.find(ACME.id) is None, "it is not there yet"
        source.set(entitlements(export=True))
        for number in range(2, 1000):
            await source.changes.put(EntitlementChange(str(number), TenantId(uuid.uuid4())))
        await source.changes.put(EntitlementChange("1000", ACME.id))
        await until(lambda: directory.peek(ACME.id) is MISS)
        assert source.lookups == 1
        assert await directory.find(ACME.id) is not None, "and is not missing for as long as that is believed"
    finally:
        await directory.close()


async def test_entitlements_that_end_by_themselves_are_asked_for_again() -> None:
    now = 0.0
    source = Source()
    directory, told = EntitlementDirectory(source, clock=lambda: now), list[TenantId | None]()
    directory.on_forgotten(told.append)
    await directory.start()
    try:
        await source.changes.put(EntitlementChange("1", caught_up=True))
        await until(lambda: directory.live)
        told.clear()
        first = entitlements(export=True)
        source.set(Entitlements(ACME.id, "basic", 1, 1, first.features, valid_for=timedelta(seconds=60)))
        assert (await directory.find(ACME.id)) is not None
        now = 59.0
        assert isinstance(directory.peek(ACME.id), Entitlements)
        now = 60.0
        assert not isinstance(directory.peek(ACME.id), Entitlements)
        source.down = True
        assert await directory.find(ACME.id) is not None, "stale, while nobody says otherwise"
        now = 121.0
        with pytest.raises(Unavailable):
            await directory.find(ACME.id)
        source.down = False
        source.set(Entitlements(ACME.id, "basic", 1, 1, first.features, valid_for=timedelta(seconds=9)))
        await directory.find(ACME.id)
        assert told == [], "nothing has changed but for how long it holds"
        now = 200.0
        source.set(entitlements(export=False))
        await directory.find(ACME.id)
        assert told == [ACME.id]
    finally:
        await directory.close()


@pytest.mark.parametrize("everybody", [True, False], ids=["everybody", "the tenant"])
async def test_a_change_ends_even_stale_answers_and_a_new_watch_does_not(everybody: bool) -> None:
    source = Source()
    source.set(entitlements(export=True))
    directory = EntitlementDirectory(source)
    before = await directory.find(ACME.id)
    await directory.start()
    try:
        await source.changes.put(EntitlementChange("1", caught_up=True))
        await until(lambda: directory.live)
        source.down = True
        assert await directory.find(ACME.id) is before
        await source.changes.put(EntitlementChange("2", None if everybody else ACME.id, everybody=everybody))
        await until(lambda: not directory.size)
        with pytest.raises(Unavailable):
            await directory.find(ACME.id)
    finally:
        await directory.close()
