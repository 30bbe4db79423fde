"""The directory of tenants: bounds, changes, and stale answers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tenantmesh.interceptors import TenantDirectory, TenantState
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.lookup import MISS
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


async def test_a_change_that_overtakes_a_fetch_wins() -> None:
    mesh = TestMesh()
    acme = mesh.add_tenant("acme")

    class Slow(MemoryTenantSource):
        async def by_id(self, tenant_id: Any) -> Any:
            record = await super().by_id(tenant_id)
            if self.lookups == 1:
                mesh.suspend(acme)
                await _until(lambda: directory._overtaken)
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
