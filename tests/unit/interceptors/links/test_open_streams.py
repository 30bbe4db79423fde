"""A stream lives no longer than what it was admitted for: its caller's credential, and its tenant."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import grpc
import pytest
from notes.v1 import notes_service_pb2 as pb

from tenantmesh.interceptors import CallerKind, TenantState
from tests.unit.interceptors.conftest import Running

ACME = (("x-tenant-slug", "acme"),)
CODE = grpc.StatusCode


class OpenStream:
    """A stream that its client keeps open."""

    def __init__(self, running: Running, token: str) -> None:
        self._running = running
        self._more = asyncio.Event()
        self._call = running.stub(token).EchoNotes(self._requests(), metadata=ACME)

    async def _requests(self) -> Any:
        yield pb.EchoNotesRequest(text="a")
        await self._more.wait()
        yield pb.EchoNotesRequest(text="b")
        await asyncio.Event().wait()

    async def begun(self) -> None:
        assert (await self._call.read()).text == "a"

    async def goes_on(self) -> None:
        self._more.set()
        assert (await self._call.read()).text == "b"

    async def ends(self, expected: grpc.StatusCode) -> None:
        """It is ended with that code. The thread-pool server can only cancel it."""
        async with asyncio.timeout(8):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await self._call.read()
        assert caught.value.code() is (expected if self._running.kind == "aio" else CODE.CANCELLED)


async def test_an_open_stream_ends_with_its_credential(running: Running) -> None:
    running.mesh.add_tenant("acme")
    key = running.mesh.key()
    stream = OpenStream(running, key)
    await stream.begun()
    del running.mesh.api_keys.keys[key]
    await stream.ends(CODE.UNAUTHENTICATED)


@pytest.mark.parametrize(
    ("state", "expected"),
    [(TenantState.SUSPENDED, CODE.PERMISSION_DENIED), (TenantState.DELETED, CODE.NOT_FOUND)],
    ids=["suspended", "deleted"],
)
async def test_an_open_stream_ends_with_its_tenant(
    running: Running, state: TenantState, expected: grpc.StatusCode
) -> None:
    acme, globex = running.mesh.add_tenant("acme"), running.mesh.add_tenant("globex")
    stream = OpenStream(running, running.mesh.token(acme, ("owner",)))
    await stream.begun()
    running.mesh.tenants.set(replace(globex, state=state))
    running.mesh.tenants.set(replace(acme, state=state))
    await stream.ends(expected)


async def test_an_open_stream_outlives_other_changes_of_its_tenant(running: Running) -> None:
    """A tenant with another name is the same tenant, and operators work in suspended ones too."""
    acme = running.mesh.add_tenant("acme")
    renamed = replace(acme, slug="acme-int", names=frozenset({"acme"}))
    of_user = OpenStream(running, running.mesh.token(acme, ("owner",)))
    of_operator = OpenStream(running, running.mesh.key(CallerKind.OPERATOR))
    await of_user.begun()
    await of_operator.begun()
    asked = running.mesh.tenants.lookups
    running.mesh.tenants.set(renamed)
    async with asyncio.timeout(8):
        while running.mesh.tenants.lookups == asked:
            await asyncio.sleep(0.02)
    await of_user.goes_on()
    running.mesh.tenants.set(replace(renamed, state=TenantState.SUSPENDED))
    await of_user.ends(CODE.PERMISSION_DENIED)
    await of_operator.goes_on()
