"""The directory of tenants: bounds, changes, and stale answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from tenantmesh.interceptors import TenantDirectory, TenantState
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.lookup import MISS
from tenantmesh.interceptors.tenants import TenantId, TenantRecord
from tenantmesh.interceptors.testing import MemoryTenantSource, TestMesh


async def _until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # the condition is the directory's, which has no event
            await asyncio.sleep(0.005)


async def test_what_does_not_exist_is_remembered_within_bounds() -> None:
    source = MemoryTenantSource()
    directory = TenantDirectory(source, capacity=10)
    for number in range(50):
        assert await directory.find(f"nobody-{number}") is None
    assert await directory.find("nobody-49") is None
    assert source.lookups == 50
    assert len(directory._entries) <= 10


class Silent(MemoryTenantSource):
    """A source whose events are long on their way."""

    def now(self, tenant: TenantRecord) -> None:
        self._tenants[tenant.id] = tenant


async def test_a_tenant_that_appears_is_seen_although_it_was_missed() -> None:
    mesh = TestMesh()
    directory = TenantDirectory(mesh.tenants)
    await directory.start()
    try:
        await _until(lambda: directory.live)
        assert await directory.find("acme") is None
        acme = mesh.add_tenant("acme")
        await _until(lambda: directory.peek("acme") is MISS)
        assert await directory.find("acme") == acme
    finally:
        await directory.close()


async def test_every_name_leads_to_its_tenant_for_as_long_as_it_is_its_name() -> None:
    mesh = TestMesh()
    directory = TenantDirectory(mesh.tenants)
    await directory.start()
    try:
        await _until(lambda: directory.live)
        host = "login.acme.example"
        assert await directory.find(host) is None, "remembered as leading nowhere"
        acme = mesh.add_tenant("acme")
        named = replace(acme, slug="acme-int", names=frozenset({"acme", host}))
        mesh.tenants.set(named)
        await _until(lambda: directory.peek(host) is MISS)
        for name in ("acme", "acme-int", host):
            assert await directory.find(name) == named
        mesh.tenants.set(replace(named, names=frozenset()))
        await _until(lambda: directory.peek(host) is MISS)
        assert await directory.find(host) is await directory.find("acme") is None
        assert (await directory.find("acme-int")) == replace(named, names=frozenset())
    finally:
        await directory.close()


async def test_a_process_that_has_changed_a_tenant_waits_for_no_event() -> None:
    source = Silent()
    directory = TenantDirectory(source)
    before = TestMesh().add_tenant("acme")
    source.now(before)
    for key, found in ((before.id, before), ("acme", before), ("acme-int", None)):
        assert await directory.find(key) == found
    after = replace(before, slug="acme-int", names=frozenset({"acme"}))
    source.now(after)
    directory.forget(after)
    for key in (before.id, "acme", "acme-int"):
        assert await directory.find(key) == after


async def test_a_name_is_forgotten_although_its_tenants_id_was_evicted() -> None:
    mesh = TestMesh()
    directory = TenantDirectory(mesh.tenants)
    await directory.start()
    try:
        await _until(lambda: directory.live)
        acme = replace(mesh.add_tenant("acme"), names=frozenset({"former"}))
        mesh.tenants.set(acme)
        await asyncio.sleep(0.05)
        await directory.find(acme.id)
        await directory.find("former")
        directory._entries.pop(acme.id.int)
        assert directory.peek("former") == acme
        mesh.tenants.set(replace(acme, names=frozenset()))
        await _until(lambda: directory.peek("former") is MISS)
    finally:
        await directory.close()


async def test_what_is_remembered_of_names_is_bounded() -> None:
    mesh = TestMesh()
    directory = TenantDirectory(mesh.tenants, capacity=10)
    for number in range(50):
        mesh.add_tenant(f"tenant-{number}")
        await directory.find(f"tenant-{number}")
    assert len(directory._names) <= 10
    cached = {slot for slot in directory._entries if isinstance(slot, str)}
    assert set().union(*directory._names.values()) == cached


class Counted(str):
    """A slug that counts how often any is looked at."""

    __slots__ = ()
    looked_at = 0

    def __hash__(self) -> int:
        Counted.looked_at += 1
        return super().__hash__()


async def test_a_full_directory_does_as_much_for_a_new_tenant_as_an_empty_one() -> None:
    mesh = TestMesh()
    directory = TenantDirectory(mesh.tenants, capacity=200)
    tenants = [mesh.add_tenant(Counted(f"tenant-{number}")) for number in range(1_000)]
    most = 0
    for tenant in tenants:
        before = Counted.looked_at
        await directory.find(tenant.id)
        most = max(most, Counted.looked_at - before)
    assert most < 50


class Breakable(MemoryTenantSource):
    """A source that can be away."""

    down = False

    async def by_id(self, tenant_id: Any) -> Any:
        if self.down:
            raise Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "down")
        return await super().by_id(tenant_id)


async def test_stale_answers_serve_for_a_while_and_then_no_more() -> None:
    now = time.monotonic()
    source, mesh = Breakable(), TestMesh()
    mesh.tenants = source
    acme = mesh.add_tenant("acme")
    directory = TenantDirectory(source, clock=lambda: now)
    assert await directory.find(acme.id) == acme
    source.down = True
    now += 4
    assert directory.peek(acme.id) == acme, "fresh for 5 s without a watch"
    now += 2
    assert directory.peek(acme.id) is MISS
    assert await directory.find(acme.id) == acme, "the source is away: stale for 60 s"
    now += 60
    with pytest.raises(Unavailable):
        await directory.find(acme.id)


async def test_what_was_learnt_before_a_watch_began_is_stale_and_no_more() -> None:
    """As when the services of a mesh start together: the first calls come before the watch."""
    now = time.monotonic()
    source, mesh = Breakable(), TestMesh()
    mesh.tenants = source
    acme = mesh.add_tenant("acme")
    directory = TenantDirectory(source, clock=lambda: now)
    assert await directory.find("acme") == acme
    assert await directory.find("nobody") is None
    await directory.start()
    try:
        await _until(lambda: directory.live)
        assert directory.peek(acme.id) is directory.peek("acme") is directory.peek("nobody") is MISS
        source.down = True
        assert await directory.find(acme.id) == acme, "the source is away: stale for 60 s"
        now += 60
        with pytest.raises(Unavailable):
            await directory.find(acme.id)
    finally:
        await directory.close()


async def test_a_change_of_a_tenant_ends_even_its_stale_answer() -> None:
    source, mesh = Breakable(), TestMesh()
    mesh.tenants = source
    acme = mesh.add_tenant("acme")
    directory = TenantDirectory(source)
    await directory.find(acme.id)
    await directory.start()
    try:
        await _until(lambda: directory.live)
        mesh.suspend(acme)
        await _until(lambda: not directory.size)
        source.down = True
        with pytest.raises(Unavailable):
            await directory.find(acme.id)
    finally:
        await directory.close()


async def test_a_change_that_overtakes_a_fetch_wins() -> None:
    mesh = TestMesh()
    acme = mesh.add_tenant("acme")

    class Slow(MemoryTenantSource):
        async def by_id(self, tenant_id: Any) -> Any:
            record = await super().by_id(tenant_id)
            if self.lookups == 1:
                mesh.suspend(acme)
                await _until(lambda: directory._journal)
            return record

    slow = Slow()
    mesh.tenants = slow
    slow.set(acme)
    directory = TenantDirectory(slow)
    await directory.start()
    try:
        await _until(lambda: directory.live)
        found = await directory.find(acme.id)
        assert found is not None
        assert found.state is TenantState.SUSPENDED
    finally:
        await directory.close()


class Overtaken(MemoryTenantSource):
    """A source that answers the first question with the tenant as it was before a change that came meanwhile."""

    def __init__(self, before: TenantRecord, after: TenantRecord) -> None:
        super().__init__()
        self.set(before)
        self._after = after
        self.directory = TenantDirectory(self)

    async def by_name(self, name: str) -> TenantRecord | None:
        record = await super().by_name(name)
        if self.lookups == 1:
            self.set(self._after)
            await _until(lambda: self.directory._journal)
        return record


NAMED = TenantRecord(
    TenantId(uuid4()), "acme", TenantState.ACTIVE, "basic", frozenset({"former", "login.acme.example"})
)


@pytest.mark.parametrize("name", ["former", "login.acme.example"])
@pytest.mark.parametrize("state", [TenantState.ACTIVE, TenantState.DELETED], ids=lambda state: state.name)
async def test_a_name_that_is_taken_away_while_it_is_looked_up_leads_nowhere(name: str, state: TenantState) -> None:
    """The event names the tenant, and no longer the name."""
    after = replace(NAMED, state=state, names=frozenset())
    source = Overtaken(NAMED, after)
    directory = source.directory
    await directory.start()
    try:
        await _until(lambda: directory.live)
        assert await directory.find(name) is None
        assert directory.peek(NAMED.id) is MISS, "not the tenant as it was"
        assert await directory.find(NAMED.id) == after
        assert not directory._journal, "what nobody needs is dropped"
    finally:
        await directory.close()
