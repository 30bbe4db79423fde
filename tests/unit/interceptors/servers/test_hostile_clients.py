"""What a client can do to a server with frames that no gRPC client sends."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from notes.v1 import notes_service_pb2 as pb

from tests.hostile import HostileClient
from tests.unit.interceptors.conftest import Running

METHOD = "/notes.v1.NotesService/GetNote"


@pytest.mark.parametrize("body", [b"", b"\0\0\0\0\x10half"], ids=["no body", "half a message"])
async def test_a_half_sent_unary_call_ends(running: Running, body: bytes) -> None:
    async with HostileClient(running.target) as client:
        stream = await client.send(METHOD, body=body, end=False)
        answer = await client.answer(stream, seconds=3)
    assert answer.ended
    acme = running.mesh.add_tenant("acme")
    served = await running.stub(running.mesh.token(acme, ("owner",))).GetNote(pb.GetNoteRequest(text="a"))
    assert served.text == "a", "the server stays up"


async def test_a_half_sent_call_with_a_credential_gets_a_status(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    headers = [("authorization", f"Bearer {running.mesh.token(acme, ('owner',))}")]
    async with HostileClient(running.target) as client:
        answer = await client.answer(await client.send(METHOD, headers, body=b"", end=False), seconds=3)
    if running.kind == "aio":
        assert answer.headers["grpc-status"] == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
    else:  # grpc.server can only be told to cancel, which ends the stream without our status
        assert answer.ended


async def test_a_refused_call_is_answered_before_its_body(running: Running) -> None:
    async with HostileClient(running.target) as client:
        answer = await client.answer(await client.send(METHOD, body=b"", end=False), seconds=0.4)
    assert answer.headers["grpc-status"] == str(grpc.StatusCode.UNAUTHENTICATED.value[0])


async def test_control_characters_reach_no_handler(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    token = running.mesh.token(acme, ("owner",))
    for value in ("a\r\nx-role: admin", "a\x00b"):
        async with HostileClient(running.target) as client:
            headers = [("authorization", f"Bearer {token}"), ("x-note", value)]
            answer = await client.answer(await client.send(METHOD, headers))
        # gRPC itself may refuse the frame; what it lets pass, the chain refuses.
        assert answer.reset is not None or answer.headers.get("grpc-status", "0") != "0" or not answer.headers


async def test_an_invalid_frame_flag_has_no_effect_without_a_credential(running: Running) -> None:
    async with HostileClient(running.target) as client:
        answer = await client.answer(await client.send(METHOD, body=b"\xff\0\0\0\x03abc"))
    assert answer.headers.get("grpc-status") != str(grpc.StatusCode.OK.value[0])


async def test_many_half_sent_calls_do_not_stop_the_others(running: Running) -> None:
    async with HostileClient(running.target) as client:
        streams = [await client.send(METHOD, body=b"", end=False) for _ in range(50)]
        acme = running.mesh.add_tenant("acme")
        stub = running.stub(running.mesh.token(acme, ("owner",)))
        assert (await stub.GetNote(pb.GetNoteRequest(text="a"), timeout=5)).text == "a"
        async with asyncio.timeout(5):
            for stream in streams:
                assert (await client.answer(stream)).ended


async def test_half_sent_calls_of_a_user_give_their_places_back(running: Running) -> None:
    acme = running.mesh.add_tenant("acme")
    token = running.mesh.token(acme, ("owner",))
    async with HostileClient(running.target) as client:
        for _ in range(8):  # as many as the pool has threads
            await client.send(METHOD, [("authorization", f"Bearer {token}")], body=b"", end=False)
        served = await running.stub(token).GetNote(pb.GetNoteRequest(text="a"), timeout=5)
    assert served.text == "a"
