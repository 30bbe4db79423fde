"""A service of another team, as interceptors/README.md shows it: a program of its own that asks the real mesh."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import NotesServiceStub

from tenantmesh.auth_svc.api_keys.bootstrap import create_key
from tenantmesh.deploy.stack import keys
from tenantmesh.interceptors.client import Credential, channel
from tests.fixtures.mesh import Mesh, World
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
GRANTS = (
    "tenants.resolve", "tenants.watch", "entitlements.read", "entitlements.watch", "quota.lease", "tokens.introspect",
)  # fmt: skip
METERS = ("notes", "exported_notes", "requests")
PROGRAM = ("-m", "tests.example.serve")


@contextlib.asynccontextmanager
async def program(mesh: Mesh, key: str, ends_by: signal.Signals = signal.SIGTERM) -> AsyncIterator[str]:
    """The program, running, by its address. It must end cleanly at the signal."""
    listen = f"127.0.0.1:{free_port()}"
    variables = {
        "TENANT": mesh.tenant_target,
        "AUTH": mesh.auth_target,
        "ISSUER": mesh.edge_url,
        "KEY": key,
        "LISTEN": listen,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/example/gen'}",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, *PROGRAM, cwd=ROOT, env=os.environ | variables)
    try:
        yield listen
    finally:
        process.send_signal(ends_by)
        try:
            async with asyncio.timeout(20):
                status = await process.wait()
        except TimeoutError:
            process.kill()
            raise
        assert status == 0, "it ends cleanly"


@pytest.fixture(scope="module")
async def key(mesh: Mesh) -> str:
    return await create_key(keys.settings(mesh.stack.engines.postgres), "notes", "SERVICE", GRANTS, meters=METERS)


@pytest.fixture(scope="module")
async def target(mesh: Mesh, key: str) -> AsyncIterator[str]:
    async with program(mesh, key) as listen:
        yield listen


async def note(target: str, credential: str | None, *metadata: tuple[str, str]) -> pb.GetNoteResponse:
    async with channel(target, credential=Credential(credential) if credential else None) as opened:
        stub: Any = NotesServiceStub(opened)
        request = pb.GetNoteRequest(text="hello")
        answer: pb.GetNoteResponse = await stub.GetNote(
            request, wait_for_ready=True, timeout=20, metadata=grpc.aio.Metadata(*metadata)
        )
        return answer


async def test_a_user_of_the_mesh_is_known_to_it(target: str, world: World) -> None:
    acme = await world.tenant("acme")
    ada = await world.user(acme)
    answer = await note(target, ada.token)
    assert (answer.tenant_id, answer.caller) == (acme.id, ada.id)


async def test_an_operator_selects_a_tenant(target: str, mesh: Mesh, world: World) -> None:
    acme = await world.tenant("acme")
    answer = await note(target, mesh.operator_key, ("x-tenant-slug", acme.slug))
    assert (answer.tenant_id, answer.caller) == (acme.id, "operator")


async def test_nobody_is_refused(target: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await note(target, None)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_it_ends_when_interrupted_though_the_tests_run_in_the_background(mesh: Mesh, key: str) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # A shell starts what runs in the background with SIGINT ignored, and every child inherits that.
        async with program(mesh, key, signal.SIGINT) as listen:
            await test_nobody_is_refused(listen)
    finally:
        signal.signal(signal.SIGINT, before)


async def test_it_finishes_calls_under_way_when_it_is_told_to_end(mesh: Mesh, key: str) -> None:
    async with contextlib.AsyncExitStack() as opened:
        async with program(mesh, key) as listen:
            stub: Any = NotesServiceStub(await opened.enter_async_context(channel(listen)))
            stream = stub.EchoNotes(wait_for_ready=True, timeout=20)
            await stream.write(pb.EchoNotesRequest(text="before"))
            assert (await stream.read()).text == "before"
            finishing = asyncio.ensure_future(finished(stream))
        assert await finishing == "after"


async def finished(stream: Any) -> str:
    """The answer of the stream half a second later, when the program is ending."""
    await asyncio.sleep(0.5)
    await stream.write(pb.EchoNotesRequest(text="after"))
    answer: pb.EchoNotesResponse = await stream.read()
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF
    return answer.text
