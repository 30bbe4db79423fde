"""The calls in flight of one tenant, on both servers: bounded, freed when a handler has really ended, and apart from
those of another tenant."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import add_NotesServiceServicer_to_server

from tenantmesh.interceptors import CallerKind, Concurrency
from tenantmesh.interceptors.testing import TestMesh
from tests.example.notes import Notes, ThreadNotes
from tests.unit.interceptors.conftest import SETTINGS, Running
from tests.unit.interceptors.servers.test_both_servers import refused

BOUNDS = {"calls": Concurrency(per_tenant=2, overall=6, reserve=2), "watches": Concurrency(1, 6, 2)}
FULL = ("RESOURCE_EXHAUSTED", "TOO_MANY_IN_FLIGHT")


@dataclass
class Slow:
    """What the handlers of this test do: they wait until they may end."""

    running: int = 0
    cancelled: int = 0
    may_end: threading.Event = field(default_factory=threading.Event)


class SlowNotes(Notes):
    def __init__(self, slow: Slow) -> None:
        self._slow = slow

    async def GetNote(self, request: pb.GetNoteRequest, context: Any) -> pb.GetNoteResponse:
        self._slow.running += 1
        try:
            await self._wait()
        except asyncio.CancelledError:
            self._slow.cancelled += 1
            await self._wait()  # as one that gives a connection back to its pool
            raise
        finally:
            self._slow.running -= 1
        return pb.GetNoteResponse(text=request.text)

    async def _wait(self) -> None:
        while not self._slow.may_end.is_set():
            await asyncio.sleep(0.005)

    async def WatchNotes(self, request: pb.WatchNotesRequest, context: Any) -> AsyncIterator[pb.WatchNotesResponse]:
        yield pb.WatchNotesResponse(text="open")
        while not self._slow.may_end.is_set():
            await asyncio.sleep(0.005)


class SlowThreadNotes(ThreadNotes):
    def __init__(self, slow: Slow) -> None:
        self._slow = slow

    def GetNote(self, request: pb.GetNoteRequest, context: Any) -> pb.GetNoteResponse:
        self._slow.running += 1
        context.add_callback(self._on_end)
        self._slow.may_end.wait(10)
        self._slow.running -= 1
        return pb.GetNoteResponse(text=request.text)

    def _on_end(self) -> None:
        self._slow.cancelled += not self._slow.may_end.is_set()

    def WatchNotes(self, request: pb.WatchNotesRequest, context: Any) -> Iterator[pb.WatchNotesResponse]:
        yield pb.WatchNotesResponse(text="open")
        while context.is_active() and not self._slow.may_end.is_set():
            time.sleep(0.005)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture(params=["aio", "threads"])
async def slow_server(request: pytest.FixtureRequest, slow: Slow) -> AsyncIterator[Running]:
    async with TestMesh(replace(SETTINGS, concurrency=BOUNDS)) as mesh:
        servicer = SlowNotes(slow) if request.param == "aio" else SlowThreadNotes(slow)
        target = await mesh.serve(add_NotesServiceServicer_to_server, servicer, pb.DESCRIPTOR, kind=request.param)
        try:
            yield Running(mesh, target, request.param)
        finally:
            slow.may_end.set()


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def get(stub: Any, **more: Any) -> Any:
    return stub.GetNote(pb.GetNoteRequest(text="a"), timeout=10, **more)


async def test_a_tenant_with_all_its_places_taken_is_refused_and_another_is_served(
    slow_server: Running, slow: Slow
) -> None:
    acme, other = (
        slow_server.stub(slow_server.mesh.token(slow_server.mesh.add_tenant(slug), ("owner",))) for slug in "ab"
    )
    waiting = [get(acme) for _ in range(2)]
    await until(lambda: slow.running == 2)
    code, reason, message = await refused(get(acme))
    assert (code, reason) == FULL
    assert "The tenant has 2 calls in flight here" in message
    others = get(other)
    await until(lambda: slow.running == 3)
    slow.may_end.set()
    assert [(await each).text for each in (*waiting, others)] == ["a", "a", "a"]
    assert (await get(acme)).text == "a"


async def test_a_cancelled_call_keeps_its_place_until_its_handler_has_ended(slow_server: Running, slow: Slow) -> None:
    acme = slow_server.stub(slow_server.mesh.token(slow_server.mesh.add_tenant("a"), ("owner",)))
    waiting = [get(acme) for _ in range(2)]
    await until(lambda: slow.running == 2)
    for each in waiting:
        each.cancel()
    await until(lambda: slow.cancelled == 2)
    assert (await refused(get(acme)))[:2] == FULL
    slow.may_end.set()
    await slow_server.mesh.served(3)
    assert (await get(acme)).text == "a"
    assert slow.running == 0


async def test_a_watch_has_places_apart_from_calls_and_frees_its_own(slow_server: Running, slow: Slow) -> None:
    acme = slow_server.stub(slow_server.mesh.token(slow_server.mesh.add_tenant("a"), ("owner",)))
    watch = acme.WatchNotes(pb.WatchNotesRequest(count=1), timeout=10)
    assert (await watch.read()).text == "open"
    second = acme.WatchNotes(pb.WatchNotesRequest(count=1), timeout=10)
    code, reason, message = await refused(second.read())
    assert (code, reason) == FULL
    assert "1 watches in flight" in message
    first = get(acme)
    await until(lambda: slow.running == 1)
    watch.cancel()
    await slow_server.mesh.served(2)
    again = acme.WatchNotes(pb.WatchNotesRequest(count=1), timeout=10)
    assert (await again.read()).text == "open"
    slow.may_end.set()
    await first


async def test_services_and_operators_have_places_when_users_have_none(slow_server: Running, slow: Slow) -> None:
    mesh = slow_server.mesh
    tenants = [mesh.add_tenant(slug) for slug in "abc"]
    waiting = [get(slow_server.stub(mesh.token(tenant, ("owner",)))) for tenant in tenants[:2] for _ in range(2)]
    await until(lambda: slow.running == 4)
    assert (await refused(get(slow_server.stub(mesh.token(tenants[2], ("owner",))))))[:2] == FULL
    named = [("x-tenant-id", str(tenants[2].id))]
    for kind in (CallerKind.SERVICE, CallerKind.OPERATOR):
        waiting.append(get(slow_server.stub(mesh.key(kind)), metadata=named))
        await until(lambda: slow.running == len(waiting))
    assert (await refused(get(slow_server.stub(mesh.key(CallerKind.SERVICE)), metadata=named)))[:2] == FULL
    slow.may_end.set()
    assert [(await each).text for each in waiting] == ["a"] * 6
    assert grpc.StatusCode.OK.name in dict(await mesh.served(8)).values()
