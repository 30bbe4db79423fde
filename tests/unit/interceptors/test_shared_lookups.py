"""Look-ups that many calls share: one caller's haste, a stuck source or a flood must not become everybody's."""

from __future__ import annotations

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tenantmesh.auth.v1 import token_service_pb2 as pb
from tenantmesh.interceptors import TenantDirectory, TenantState
from tenantmesh.interceptors.backends.grpc.credentials import KEYS_FRESH, KEYS_STALE, GrpcKeySet
from tenantmesh.interceptors.client import _timeout
from tenantmesh.interceptors.errors import OutOfRange, Unavailable
from tenantmesh.interceptors.lookup import MISS
from tenantmesh.interceptors.passage import Passage, current
from tenantmesh.interceptors.policy import MethodPolicy
from tenantmesh.interceptors.tenants import TenantChange
from tenantmesh.interceptors.testing import MemoryTenantSource, TestMesh


class Scripted(MemoryTenantSource):
    """A source whose look-ups and watch do what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.deadlines: list[float | None] = []
        self.changes: asyncio.Queue[TenantChange | Exception] = asyncio.Queue()

    async def by_id(self, tenant_id: Any) -> Any:
        self.deadlines.append(_timeout(None))
        record = await super().by_id(tenant_id)
        await asyncio.sleep(self.seconds)
        return record

    async def watch(self, cursor: str | None) -> AsyncIterator[TenantChange]:
        while True:
            change = await self.changes.get()
            if isinstance(change, Exception):
                raise change
            yield change


def caught_up(cursor: str) -> TenantChange:
    """A checkpoint after which nothing is still to come."""
    return TenantChange(cursor, None, caught_up=True)


async def test_a_hasty_caller_does_not_hurry_the_others() -> None:
    mesh, source = TestMesh(), Scripted()
    mesh.tenants, source.seconds = source, 0.1
    acme = mesh.add_tenant("acme")
    directory = TenantDirectory(source)

    async def hasty() -> None:
        call = Passage(MethodPolicy("/x.Y/Z", frozenset()), ())
        call.deadline = time.monotonic() + 0.01
        current.set(call)
        await directory.find(acme.id)

    first = asyncio.create_task(hasty())
    await asyncio.sleep(0.01)
    assert await directory.find(acme.id) == acme
    await first
    assert source.deadlines == [None], "one look-up, without the first caller's deadline"


async def test_a_silent_watch_is_a_lost_one() -> None:
    mesh, source = TestMesh(), Scripted()
    mesh.tenants = source
    directory = TenantDirectory(source, silence=timedelta(seconds=0.1))
    await directory.start()
    try:
        await source.changes.put(caught_up("1"))
        await _until(lambda: directory.live)
        await _until(lambda: not directory.live)
        assert not directory.live
    finally:
        await directory.close()


async def test_other_tenants_changes_do_not_delay_a_lookup() -> None:
    mesh, source = TestMesh(), Scripted()
    mesh.tenants, source.seconds = source, 0.05
    acme, other = mesh.add_tenant("acme"), mesh.add_tenant("other")
    directory = TenantDirectory(source)
    await directory.start()
    try:
        finding = asyncio.create_task(directory.find(acme.id))
        for number in range(5):
            await source.changes.put(TenantChange(str(number), other))
            await asyncio.sleep(0.005)
        assert await finding == acme
        assert source.lookups == 1
    finally:
        await directory.close()


async def test_an_old_event_that_is_replayed_revives_nothing() -> None:
    mesh, source = TestMesh(), Scripted()
    mesh.tenants = source
    acme = mesh.add_tenant("acme")
    mesh.suspend(acme)
    directory = TenantDirectory(source)
    await directory.start()
    try:
        await source.changes.put(caught_up("1"))
        await _until(lambda: directory.live)
        found = await directory.find(acme.id)
        assert found is not None
        await source.changes.put(TenantChange("2", acme))  # the tenant as it was before
        await asyncio.sleep(0.05)
        again = await directory.find(acme.id)
        assert again is not None
        assert found.state is again.state is TenantState.SUSPENDED
    finally:
        await directory.close()


async def test_what_was_learnt_before_a_watch_arrived_is_forgotten_when_it_has() -> None:
    """The source draws its "now" when the request arrives: what was learnt since then may have changed unseen."""
    mesh, source = TestMesh(), Scripted()
    mesh.tenants = source
    acme = mesh.add_tenant("acme")
    directory = TenantDirectory(source)
    await directory.start()
    try:
        assert await directory.find(acme.id) == acme
        mesh.suspend(acme)
        await source.changes.put(caught_up("1"))
        await _until(lambda: directory.live)
        found = await directory.find(acme.id)
        assert found is not None
        assert found.state is TenantState.SUSPENDED
    finally:
        await directory.close()


async def test_a_watch_that_resumes_is_lost_until_it_has_caught_up() -> None:
    now = 0.0
    mesh, source = TestMesh(), Scripted()
    mesh.tenants = source
    acme = mesh.add_tenant("acme")
    directory = TenantDirectory(source, clock=lambda: now)
    await directory.start()
    try:
        await source.changes.put(caught_up("1"))
        await _until(lambda: directory.live)
        await directory.find(acme.id)
        await source.changes.put(Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "away"))
        await _until(lambda: not directory.live)
        mesh.suspend(acme)
        now = 3600.0
        await source.changes.put(TenantChange("1", None))  # connected again; what was missed is being read
        await _until(source.changes.empty)
        assert (directory.live, directory.peek(acme.id)) == (False, MISS), "an hour old, and changed meanwhile"
        await source.changes.put(TenantChange("2", acme))
        await _until(source.changes.empty)
        assert not directory.live, "there may be more"
        await source.changes.put(caught_up("2"))
        await _until(lambda: directory.live)
        found = await directory.find(acme.id)
        assert found is not None
        assert found.state is TenantState.SUSPENDED
    finally:
        await directory.close()


@pytest.mark.parametrize("before", [[], [caught_up("0"), OutOfRange("CURSOR_EXPIRED", "gone")]])
async def test_a_fetch_that_a_new_watch_overtakes_is_repeated(before: list[TenantChange | Exception]) -> None:
    mesh, source = TestMesh(), Scripted()
    mesh.tenants, source.seconds = source, 0.5
    acme = mesh.add_tenant("acme")
    directory = TenantDirectory(source)
    await directory.start()
    try:
        for each in before:
            await source.changes.put(each)
        await _until(source.changes.empty)
        finding = asyncio.create_task(directory.find(acme.id))
        await asyncio.sleep(0.05)
        mesh.suspend(acme)
        await source.changes.put(caught_up("1"))
        found = await finding
        assert found is not None
        assert found.state is TenantState.SUSPENDED
        assert directory.peek(acme.id) == found
    finally:
        await directory.close()


async def _until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # the condition is the directory's, which has no event
            await asyncio.sleep(0.005)


class Auth:
    """auth_svc's key set, which can be away."""

    def __init__(self) -> None:
        self.asked = 0
        self.down = False

    async def GetJwks(self, _request: Any, **_options: Any) -> Any:
        self.asked += 1
        if self.down:
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
        x = urlsafe_b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode().rstrip("=")
        return pb.GetJwksResponse(keys=[pb.Jwk(kid="known", kty="OKP", crv="Ed25519", x=x)])


async def test_made_up_key_ids_do_not_flood_auth_svc() -> None:
    now, auth = 0.0, Auth()
    keys = GrpcKeySet(lambda: auth, clock=lambda: now)
    for number in range(50):
        await keys.refresh(f"made-up-{number}")
    assert auth.asked == 1
    auth.down, now = True, 10.0
    for number in range(50):
        await keys.refresh(f"made-up-{number}")
    assert auth.asked == 2
    assert keys.get("known") is not None


async def test_the_last_keys_serve_while_auth_svc_is_away_but_not_for_ever() -> None:
    now, auth = 0.0, Auth()
    keys = GrpcKeySet(lambda: auth, clock=lambda: now)
    await keys.refresh("known")
    auth.down = True
    now = KEYS_FRESH + 1
    assert keys.get("known") is None, "looked for again"
    await keys.refresh("known")
    assert keys.get("known") is not None, "and kept while that fails"
    now = KEYS_STALE + 1
    with pytest.raises(Unavailable):
        await keys.refresh("known")
    assert keys.get("known") is None
