"""The chain's promises, over all four RPC kinds, on grpc.aio and on the thread-pool server alike."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import (
    NotesServiceServicer,
    NotesServiceStub,
    add_NotesServiceServicer_to_server,
)

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.errors import FailedPrecondition, NotFound
from tenantmesh.interceptors.servers.status import to_status
from tests.transports import raw, rich_status
from tests.unit.interceptors.conftest import Running

OURS = "tenantmesh"
UNKNOWN = ("NotesService/Nothing", "NobodysService/GetNote")


async def refused(call: Awaitable[Any]) -> tuple[str, str, str]:
    """Code, reason and message of a refusal."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rich_status(caught.value)
    assert status is not None, f"no rich status: {caught.value}"
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == OURS
    return caught.value.code().name, info.reason, status.message


async def notes(kind: type, count: int) -> AsyncIterator[Any]:
    for number in range(count):
        yield kind(text=str(number))


async def test_a_served_call_knows_its_tenant_and_caller(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    answer = await running.stub(running.mesh.token(acme, ("owner",))).GetNote(pb.GetNoteRequest(text="hello"))
    assert answer.tenant_id == str(acme.id)
    assert uuid.UUID(answer.caller)


async def test_all_four_kinds_are_served(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    stub = running.stub(running.mesh.token(acme, ("owner",)))
    assert (await stub.GetNote(pb.GetNoteRequest(text="a"))).text == "a"
    assert [m.text async for m in stub.WatchNotes(pb.WatchNotesRequest(count=2))] == [f"{acme.id}:0", f"{acme.id}:1"]
    assert (await stub.ImportNotes(notes(pb.ImportNotesRequest, 3))).count == 3
    assert [m.text async for m in stub.EchoNotes(notes(pb.EchoNotesRequest, 3))] == ["0", "1", "2"]
    assert [code for _, code in await running.mesh.served(4)] == ["OK"] * 4


async def test_all_four_kinds_are_refused_without_a_credential(running: Running) -> None:
    stub = running.stub()
    expected = ("UNAUTHENTICATED", "CREDENTIALS_MISSING")
    assert (await refused(stub.GetNote(pb.GetNoteRequest())))[:2] == expected
    assert (await refused(_drain(stub.WatchNotes(pb.WatchNotesRequest(count=1)))))[:2] == expected
    assert (await refused(stub.ImportNotes(notes(pb.ImportNotesRequest, 1))))[:2] == expected
    assert [code for _, code in await running.mesh.served(3)] == ["UNAUTHENTICATED"] * 3


async def _code(call: Awaitable[Any]) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def _drain(stream: Any) -> list[Any]:
    return [message async for message in stream]


async def test_permission_comes_from_the_role(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    reader = running.stub(running.mesh.token(acme, ("reader",)))
    assert (await reader.GetNote(pb.GetNoteRequest(text="a"))).text == "a"
    code, reason, message = await refused(reader.ImportNotes(notes(pb.ImportNotesRequest, 1)))
    assert (code, reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
    assert "notes.write" in message


async def test_audience_comes_from_the_policy(running: Running) -> None:
    running.mesh.add_tenant("acme")
    operator = running.stub(running.mesh.key(CallerKind.OPERATOR))
    call = operator.ImportNotes(notes(pb.ImportNotesRequest, 1), metadata=[("x-tenant-slug", "acme")])
    code, reason, message = await refused(call)
    assert (code, reason) == ("PERMISSION_DENIED", "AUDIENCE_NOT_ALLOWED")
    assert message == "This method cannot be called by an operator. Allowed: users."


@pytest.mark.parametrize("source", ["x-tenant-id", "x-tenant-slug", "x-tenant-query", "x-forwarded-host"])
async def test_every_source_may_only_agree_with_the_credential(running: Running, source: str) -> None:
    acme, globex = running.mesh.add_tenant("acme"), running.mesh.add_tenant("globex")
    stub = running.stub(running.mesh.token(acme, ("owner",)))

    def naming(tenant: Any) -> list[tuple[str, str]]:
        values = {"x-tenant-id": str(tenant.id), "x-forwarded-host": f"{tenant.slug}.mesh.test:8080"}
        return [(source, values.get(source, tenant.slug))]

    agreeing = await stub.GetNote(pb.GetNoteRequest(text="a"), metadata=naming(acme))
    assert agreeing.tenant_id == str(acme.id)
    for foreign in (naming(globex), [(source, "nobody.mesh.test" if "host" in source else "nobody")]):
        code, reason, message = await refused(stub.GetNote(pb.GetNoteRequest(text="a"), metadata=foreign))
        assert (code, reason) == ("PERMISSION_DENIED", "TENANT_MISMATCH")
        assert "globex" not in message


@pytest.mark.parametrize("source", ["x-tenant-id", "x-tenant-slug", "x-tenant-query", "x-forwarded-host"])
async def test_every_source_selects_for_an_operator(running: Running, source: str) -> None:
    acme = running.mesh.add_tenant("acme")
    value = {"x-tenant-id": str(acme.id), "x-forwarded-host": "acme.mesh.test"}.get(source, "acme")
    stub = running.stub(running.mesh.key())
    answer = await stub.GetNote(pb.GetNoteRequest(text="a"), metadata=[(source, value)])
    assert answer.tenant_id == str(acme.id)


async def test_a_host_names_its_tenant_however_it_is_spelt(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    running.mesh.add_tenant("globex")
    stub = running.stub(running.mesh.token(acme, ("owner",)))
    for host in ("globex.mesh.test", "globex.mesh.test.", "GLOBEX.mesh.test:80", "acme.mesh.test:x1", "a.b.mesh.test"):
        call = stub.GetNote(pb.GetNoteRequest(text="a"), metadata=[("x-forwarded-host", host)])
        assert (await refused(call))[1] == "TENANT_MISMATCH", host
    for host in ("acme.mesh.test.", "acme.mesh.test.:80", "www.mesh.test", "mesh.test", "elsewhere.test"):
        answer = await stub.GetNote(pb.GetNoteRequest(text="a"), metadata=[("x-forwarded-host", host)])
        assert answer.tenant_id == str(acme.id), host


async def test_sources_that_disagree_are_refused(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    running.mesh.add_tenant("globex")
    stub = running.stub(running.mesh.key())
    call = stub.GetNote(pb.GetNoteRequest(), metadata=[("x-tenant-id", str(acme.id)), ("x-tenant-slug", "globex")])
    assert (await refused(call))[:2] == ("INVALID_ARGUMENT", "TENANT_CONFLICT")


async def test_a_tenant_is_required_where_the_policy_says_so(running: Running) -> None:
    stub = running.stub(running.mesh.key())
    assert (await refused(stub.GetNote(pb.GetNoteRequest())))[:2] == ("INVALID_ARGUMENT", "TENANT_REQUIRED")
    missing = stub.GetNote(pb.GetNoteRequest(), metadata=[("x-tenant-slug", "nobody")])
    assert (await refused(missing))[:2] == ("NOT_FOUND", "TENANT_NOT_FOUND")


async def test_suspension_is_in_force_at_once(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    stub = running.stub(running.mesh.token(acme, ("owner",)))
    await stub.GetNote(pb.GetNoteRequest(text="a"))
    running.mesh.suspend(acme)
    async with asyncio.timeout(5):
        denied = grpc.StatusCode.PERMISSION_DENIED
        while await _code(stub.GetNote(pb.GetNoteRequest(text="a"))) is not denied:  # polled as clients do
            await asyncio.sleep(0.01)
    operator = running.stub(running.mesh.key())
    answer = await operator.GetNote(pb.GetNoteRequest(text="a"), metadata=[("x-tenant-slug", "acme")])
    assert answer.tenant_id == str(acme.id), "operators are served"


async def test_a_method_without_a_policy_is_denied(running: Running) -> None:
    stub = running.stub(running.mesh.key())
    call = stub.ForgottenNote(pb.ForgottenNoteRequest())
    assert (await refused(call))[:2] == ("PERMISSION_DENIED", "POLICY_MISSING")


async def test_an_unknown_method_is_unimplemented(running: Running) -> None:
    refusals = [await refused(raw(running.channel(), f"/notes.v1.{name}", b"")) for name in UNKNOWN]
    assert {refusal[:2] for refusal in refusals} == {("UNIMPLEMENTED", "METHOD_UNKNOWN")}
    assert await running.mesh.served(2) == [("other", "UNIMPLEMENTED")] * 2


async def test_a_method_that_its_service_has_not_written_is_unimplemented(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    unwritten: Any = NotesServiceServicer
    serve: Any = running.mesh.serve
    target = await serve(add_NotesServiceServicer_to_server, unwritten(), pb.DESCRIPTOR, kind=running.kind)
    opened = running.mesh.client(target, token=running.mesh.token(acme, ("owner",)))
    running.mesh.closing(opened.close)
    stub: Any = NotesServiceStub(opened)
    expected = ("UNIMPLEMENTED", "METHOD_NOT_IMPLEMENTED")
    assert (await refused(stub.GetNote(pb.GetNoteRequest(text="a"))))[:2] == expected
    assert (await refused(_drain(stub.WatchNotes(pb.WatchNotesRequest(count=1)))))[:2] == expected
    assert [code for _, code in await running.mesh.served(2)] == ["UNIMPLEMENTED"] * 2


async def test_exception_text_stays_in_the_log(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    acme = running.mesh.add_tenant("acme")
    stub = running.stub(running.mesh.token(acme, ("owner",)))
    call = stub.GetNote(pb.GetNoteRequest(text="boom"), metadata=[("x-request-id", "find-me")])
    code, reason, message = await refused(call)
    assert (code, reason) == ("INTERNAL", "INTERNAL")
    assert "hunter2" not in message
    assert any(getattr(record, "request_id", "") == "find-me" for record in caplog.records if record.exc_info)


async def test_a_handler_may_end_the_call_itself(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    stub = running.stub(running.mesh.token(acme, ("owner",)))
    for times, (text, details) in enumerate((("abort", "no such note"), ("code", "")), start=1):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetNote(pb.GetNoteRequest(text=text))
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, details)
        assert (await running.mesh.served(times))[-1][1] == "NOT_FOUND"


async def test_a_cancelled_stream_is_recorded_as_such(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    call = running.stub(running.mesh.token(acme, ("owner",))).WatchNotes(pb.WatchNotesRequest(count=10_000_000))
    await call.read()
    call.cancel()
    assert (await running.mesh.served(1))[-1][1] == "CANCELLED"


async def test_the_request_id_comes_back(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    stub = running.stub(running.mesh.token(acme, ("owner",)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetNote(pb.GetNoteRequest(text="boom"), metadata=[("x-request-id", "mine-1")])
    assert dict(caught.value.trailing_metadata())["x-request-id"] == "mine-1"
    minted = stub.GetNote(pb.GetNoteRequest(text="a"), metadata=[("x-request-id", "not an id")])
    await minted
    assert dict(await minted.trailing_metadata())["x-request-id"] not in {"", "not an id"}


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ([("x-tenantmesh-caller", "root")], "INVALID_METADATA"),
        ([("x-tenant-slug", "acme"), ("x-tenant-slug", "acme")], "DUPLICATE_METADATA"),
        ([("x-tenant-slug", "acme,globex")], "DUPLICATE_METADATA"),
        ([("authorization", "Bearer x"), ("authorization", "Bearer y")], "DUPLICATE_METADATA"),
        ([(f"x-note-{number}", "") for number in range(70)], "METADATA_TOO_LARGE"),
    ],
)
async def test_harmful_metadata_is_refused(running: Running, metadata: list[tuple[str, str]], reason: str) -> None:
    acme = running.mesh.add_tenant("acme")
    token = None if metadata[0][0] == "authorization" else running.mesh.token(acme, ("owner",))
    assert (await refused(running.stub(token).GetNote(pb.GetNoteRequest(), metadata=metadata)))[1] == reason


async def test_a_malformed_body_is_refused_after_the_gates(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    method = "/notes.v1.NotesService/GetNote"
    anonymous = raw(running.channel(), method, b"\xff\xff")
    assert (await refused(anonymous))[1] == "CREDENTIALS_MISSING"
    known = raw(running.channel(running.mesh.token(acme, ("owner",))), method, b"\xff\xff")
    assert (await refused(known))[:2] == ("INVALID_ARGUMENT", "MALFORMED_REQUEST")


async def test_a_malformed_message_in_a_stream_is_refused(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    channel = running.channel(running.mesh.token(acme, ("owner",)))

    async def garbage() -> AsyncIterator[bytes]:
        yield b"\xff\xff"

    method: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary("/notes.v1.NotesService/ImportNotes")
    call = method(garbage())
    assert (await refused(call))[:2] == ("INVALID_ARGUMENT", "MALFORMED_REQUEST")


async def _nothing_yet() -> AsyncIterator[Any]:
    await asyncio.Event().wait()
    yield


async def test_public_methods_are_limited_by_peer(running: Running) -> None:
    stub = running.stub()

    def echo() -> Any:
        return stub.EchoNotes(notes(pb.EchoNotesRequest, 1), metadata=[("x-forwarded-for", "192.0.2.7")])

    assert [await _code(_drain(echo())) for _ in range(5)] == [grpc.StatusCode.OK] * 5
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        # The refusal comes before the body, and gRPC's client reports that a message could not be sent as INTERNAL.
        await _drain(stub.EchoNotes(_nothing_yet(), metadata=[("x-forwarded-for", "192.0.2.7")]))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert int(str(dict(caught.value.trailing_metadata())["retry-after"])) > 0
    other = stub.EchoNotes(notes(pb.EchoNotesRequest, 1), metadata=[("x-forwarded-for", "192.0.2.8")])
    assert len(await _drain(other)) == 1, "another address has a limit of its own"


async def test_parallel_first_calls_for_a_tenant_ask_the_source_once(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    stub = running.stub(running.mesh.token(acme, ("owner",)))
    await asyncio.gather(*(stub.GetNote(pb.GetNoteRequest(text="a")) for _ in range(20)))
    assert running.mesh.tenants.lookups <= 2


class NoteLocked(FailedPrecondition):
    """An error of the service's own."""

    domain = "notes.example.com"


def test_an_error_of_the_services_own_has_its_own_domain() -> None:
    for error, domain in ((NoteLocked("LOCKED", "Unlock it."), "notes.example.com"), (NotFound("GONE", "x"), OURS)):
        info = error_details_pb2.ErrorInfo()
        assert to_status(error).details[0].Unpack(info)
        assert (info.reason, info.domain) == (error.reason, domain)
