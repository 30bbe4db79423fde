"""What a credential is worth over time: revocation, expiry, floods of bad ones, keys with few permissions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import NotesServiceStub, add_NotesServiceServicer_to_server

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.testing import TestMesh
from tests.example.notes import Notes
from tests.transports import rich_status
from tests.unit.interceptors.conftest import SETTINGS, Running


async def reason(call: Awaitable[Any]) -> str:
    """The reason of a refusal; empty when the call was served."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        status = rich_status(error)
        info = error_details_pb2.ErrorInfo()
        if status is not None:
            status.details[0].Unpack(info)
        return str(info.reason)
    return ""


ACME = (("x-tenant-slug", "acme"),)


async def test_a_revoked_key_stops_working_within_a_second(running: Running) -> None:
    running.mesh.add_tenant("acme")
    key = running.mesh.key()
    stub = running.stub(key)
    assert await reason(stub.GetNote(pb.GetNoteRequest(text="a"), metadata=ACME)) == ""
    del running.mesh.api_keys.keys[key]
    async with asyncio.timeout(3):
        while await reason(stub.GetNote(pb.GetNoteRequest(text="a"), metadata=ACME)) == "":  # as clients do
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("kind", [CallerKind.OPERATOR, CallerKind.SERVICE])
async def test_a_key_permits_what_it_was_granted(running: Running, kind: CallerKind) -> None:
    running.mesh.add_tenant("acme")
    may = running.stub(running.mesh.key(kind, frozenset({"notes.read"})))
    may_not = running.stub(running.mesh.key(kind, frozenset({"tenants.read"})))
    assert await reason(may.GetNote(pb.GetNoteRequest(text="a"), metadata=ACME)) == ""
    assert await reason(may_not.GetNote(pb.GetNoteRequest(text="a"), metadata=ACME)) == "PERMISSION_MISSING"


async def test_guessing_keys_is_limited_and_displaces_no_good_one(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    good = running.stub(running.mesh.token(acme, ("owner",)))
    await good.GetNote(pb.GetNoteRequest(text="a"))
    stub = running.stub()
    reasons = [
        await reason(stub.GetNote(pb.GetNoteRequest(), metadata=(("authorization", f"Bearer tmk_{number:032}"), *ACME)))
        for number in range(130)
    ]
    assert reasons[0] == "CREDENTIALS_INVALID"
    assert reasons[-1] == "RATE_LIMITED"
    assert await reason(good.GetNote(pb.GetNoteRequest(text="a"))) == ""


async def test_an_observer_that_fails_hides_nothing_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def failing(_method: str, _code: str, _seconds: float) -> None:
        raise RuntimeError("dsn=postgresql://secret@db")

    async with TestMesh(SETTINGS) as mesh:
        acme = mesh.add_tenant("acme")
        mesh.observer = failing
        target = await mesh.serve(add_NotesServiceServicer_to_server, Notes(), pb.DESCRIPTOR)
        async with mesh.client(target, token=mesh.token(acme, ("owner",))) as channel:
            stub = NotesServiceStub(channel)
            assert (await stub.GetNote(pb.GetNoteRequest(text="a"))).text == "a"
    assert "leaving a link failed" in caplog.text
