"""A directory still finds a record that it has evicted while an open stream holds the record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tenantmesh.interceptors import CallerKind, TenantDirectory, TenantState
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.errors import PermissionDenied
from tenantmesh.interceptors.links.tenancy import Tenancy
from tenantmesh.interceptors.lookup import MISS
from tenantmesh.interceptors.passage import Passage
from tenantmesh.interceptors.tenants import TenantId, TenantRecord
from tenantmesh.interceptors.testing import MemoryTenantSource, TestMesh
from tests.unit.interceptors.plan_calls import bound_to, call, policy, until

ROOM = 2
"""Keys: the id and the slug of one tenant."""


class Remote(MemoryTenantSource):
    """A source that makes a record for each answer, as one in another process does."""

    async def by_id(self, tenant_id: Any) -> TenantRecord | None:
        record = await super().by_id(tenant_id)
        return None if record is None else replace(record)


@asynccontextmanager
async def started(source: Remote, **settings: Any) -> AsyncIterator[TenantDirectory]:
    directory = TenantDirectory(source, capacity=ROOM, **settings)
    await directory.start()
    try:
        await until(lambda: directory.live)
        yield directory
    finally:
        await directory.close()


def mesh_of(source: Remote) -> TestMesh:
    mesh = TestMesh()
    mesh.tenants = source
    return mesh


class Streams:
    """Open streams of users, as the watchdog follows them."""

    def __init__(self, directory: TenantDirectory) -> None:
        self._moments = bound_to(Tenancy(directory, ""), policy(streams=True))

    async def opened(self, tenant_id: TenantId) -> Passage:
        stream = call(policy(streams=True), Caller(CallerKind.USER, "somebody", tenant_id=tenant_id), None)
        if (waiting := self._moments.enter(stream)) is not None:
            await waiting
        return stream


async def look(stream: Passage) -> None:
    """Look at the stream's tenant as the watchdog does. Raises the error that ends the stream."""
    (recheck,) = stream.rechecks
    if not recheck.unchanged(stream):
        await recheck.check(stream)


async def test_open_streams_of_more_tenants_than_there_is_room_for_ask_nothing() -> None:
    mesh = mesh_of(source := Remote())
    tenants = [mesh.add_tenant(f"tenant-{number}") for number in range(5)]
    async with started(source) as directory:
        streams = Streams(directory)
        opened = [await streams.opened(tenant.id) for tenant in tenants for _ in range(2)]
        asked = source.lookups
        for stream in opened * 3:
            await look(stream)
        assert source.lookups == asked


async def test_a_change_of_a_tenant_that_made_room_costs_its_streams_one_question_and_ends_them() -> None:
    mesh = mesh_of(source := Remote())
    acme, globex, last = [mesh.add_tenant(slug) for slug in ("acme", "globex", "last")]
    async with started(source) as directory:
        streams = Streams(directory)
        first, second, other, _ = [await streams.opened(tenant.id) for tenant in (acme, acme, globex, last)]
        asked = source.lookups
        mesh.suspend(acme)
        await until(lambda: directory.peek(acme.id) is MISS)
        for stream in (first, second):
            with pytest.raises(PermissionDenied):
                await look(stream)
        await look(other)
        assert source.lookups == asked + 1


async def test_a_record_is_forgotten_when_nobody_holds_it() -> None:
    mesh = mesh_of(source := Remote())
    acme, globex = mesh.add_tenant("acme"), mesh.add_tenant("globex")
    async with started(source) as directory:
        held = await directory.find(acme.id)
        await directory.find(globex.id)
        assert directory.peek(acme.id) is held
        del held
        assert directory.peek(acme.id) is MISS
        assert directory.size <= ROOM


async def test_without_contact_a_held_record_serves_as_long_as_a_cached_one() -> None:
    now = time.monotonic()
    mesh = mesh_of(source := Remote())
    acme, globex = mesh.add_tenant("acme"), mesh.add_tenant("globex")
    directory = TenantDirectory(source, capacity=ROOM, clock=lambda: now)
    held, cached = await directory.find(acme.id), await directory.find(globex.id)
    now += 4
    assert (directory.peek(acme.id), directory.peek(globex.id)) == (held, cached)
    now += 2
    assert directory.peek(acme.id) is directory.peek(globex.id) is MISS


async def test_a_watch_that_begins_anew_trusts_no_held_record() -> None:
    mesh = mesh_of(source := Remote())
    acme, globex = mesh.add_tenant("acme"), mesh.add_tenant("globex")
    directory = TenantDirectory(source, capacity=ROOM)
    held = await directory.find(acme.id)
    await directory.find(globex.id)
    assert directory.peek(acme.id) is held
    source._tenants[acme.id] = replace(acme, state=TenantState.SUSPENDED)  # unseen: nothing watches
    await directory.start()
    try:
        async with asyncio.timeout(5):
            while not directory.live:  # the directory has no event
                await asyncio.sleep(0.005)
        assert directory.peek(acme.id) is MISS
    finally:
        await directory.close()
