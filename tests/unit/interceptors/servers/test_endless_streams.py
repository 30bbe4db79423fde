"""How an endless stream ends: its caller learns why, over gRPC by the status, over REST by the last message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import NotesServiceStub, add_NotesServiceServicer_to_server

from tenantmesh.interceptors import Caller, CallerKind, Chain, ChainSettings, Credential, channel, tokens
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.links import authentication
from tenantmesh.interceptors.servers import watchdog
from tenantmesh.interceptors.streams import until_ended
from tenantmesh.interceptors.testing import TestMesh
from tests.example.notes import Notes
from tests.transports import Headers, rich_status

ROLES = {"owner": frozenset({"*"})}
REST = [("x-envoy-original-path", "/notes:watch")]
SMALL_WINDOW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
KEY = "tmk_the-key-of-ada-in-acme"
BIG = "x" * 200_000


class Endless(Notes):
    """Sends a message when it is told to, and a first one at once, unless `count` is 0."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def WatchNotes(self, request: Any, context: Any) -> AsyncIterator[pb.WatchNotesResponse]:
        async for message in until_ended(self.messages(request.count), last):
            yield message

    async def messages(self, count: int) -> AsyncGenerator[pb.WatchNotesResponse, None]:
        try:
            for number in range(count):
                yield pb.WatchNotesResponse(text=str(number))
            while True:
                yield pb.WatchNotesResponse(text=await self.queue.get())
        finally:
            self.closed.set()


def last(error: MeshError) -> pb.WatchNotesResponse:
    return pb.WatchNotesResponse(text=f"{error.kind.name} {error.reason}")


@dataclass
class Served:
    """A served endless stream, and how to end it."""

    mesh: TestMesh
    chain: Chain
    servicer: Endless
    target: str

    def watch(self, metadata: Headers, *, count: int = 1, token: str = "", options: Any = ()) -> Any:
        opened = channel(self.target, credential=Credential(token or KEY), options=options)
        self.mesh.closing(opened.close)
        return NotesServiceStub(opened).WatchNotes(pb.WatchNotesRequest(count=count), metadata=metadata)

    def revoke(self) -> None:
        self.mesh.api_keys.keys.clear()


async def serve(mesh: TestMesh, settings: ChainSettings) -> Served:
    chain = Chain(pb.DESCRIPTOR.services_by_name.values(), mesh.ports(), settings, complete=False)
    await chain.start()
    server = grpc.aio.server(interceptors=[chain.aio_interceptor()], options=[("grpc.so_reuseport", 0)])
    servicer = Endless()
    add_NotesServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    mesh.closing(chain.close)
    mesh.closing(lambda: server.stop(0))
    acme = mesh.add_tenant("acme")
    caller = Caller(CallerKind.USER, "ada", tenant_id=acme.id, roles=("owner",), credential_id="ada-1")
    mesh.api_keys.keys[KEY] = caller
    return Served(mesh, chain, servicer, f"127.0.0.1:{port}")


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(authentication, "REMEMBER_KEY", 0.1)
    monkeypatch.setattr(authentication, "RECHECK", 0.2)
    async with TestMesh(ChainSettings(roles=ROLES)) as mesh:
        yield await serve(mesh, mesh.settings)


NAMED = [("x-tenant-slug", "acme")]
ENDINGS: list[Any] = [
    pytest.param(lambda served: served.chain.end_watches(), ("UNAVAILABLE", "STREAM_ENDED"), id="the server stops"),
    pytest.param(Served.revoke, ("UNAUTHENTICATED", "CREDENTIALS_INVALID"), id="the key is revoked"),
]


async def texts(stream: Any) -> list[str]:
    async with asyncio.timeout(5):
        return [message.text async for message in stream]


async def status_of(stream: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await texts(stream)
    info = error_details_pb2.ErrorInfo()
    assert rich_status(caught.value).details[0].Unpack(info)
    return caught.value.code().name, info.reason


@pytest.mark.parametrize(("end", "expected"), ENDINGS)
async def test_over_rest_the_last_message_says_why(
    served: Served, end: Callable[[Served], None], expected: tuple[str, str]
) -> None:
    stream = served.watch([*NAMED, *REST])
    assert (await stream.read()).text == "0"
    end(served)
    assert await texts(stream) == [" ".join(expected)]
    assert served.servicer.closed.is_set()


@pytest.mark.parametrize(("end", "expected"), ENDINGS)
async def test_over_grpc_the_status_says_why(
    served: Served, end: Callable[[Served], None], expected: tuple[str, str]
) -> None:
    stream = served.watch(NAMED)
    assert (await stream.read()).text == "0"
    end(served)
    assert await status_of(stream) == expected


async def test_a_token_that_expires_ends_its_stream(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "CLOCK_SKEW", 0)
    token = served.mesh.signer.sign(served.mesh.signer.claims(served.mesh.add_tenant("brief").id, ("owner",), 1))
    stream = served.watch(REST, token=token)
    assert await texts(stream) == ["0", "UNAUTHENTICATED CREDENTIALS_EXPIRED"]


async def test_before_the_first_message_it_is_a_status_over_rest_too(served: Served) -> None:
    stream = served.watch([*NAMED, *REST], count=0)
    ending = asyncio.ensure_future(status_of(stream))
    await asyncio.sleep(0.2)
    served.chain.end_watches()
    assert await ending == ("UNAVAILABLE", "STREAM_ENDED")


@pytest.mark.parametrize("metadata", [NAMED, [*NAMED, *REST]], ids=["grpc", "rest"])
async def test_a_watch_ends_itself_when_it_has_lasted_long_enough(metadata: Headers) -> None:
    async with TestMesh(ChainSettings(roles=ROLES, longest_watch=0.3)) as mesh:
        served = await serve(mesh, mesh.settings)
        stream = served.watch(metadata)
        assert (await stream.read()).text == "0"
        if metadata is NAMED:
            assert await status_of(stream) == ("UNAVAILABLE", "STREAM_ENDED")
        else:
            assert await texts(stream) == ["UNAVAILABLE STREAM_ENDED"]


async def test_a_message_on_its_way_is_sent_before_the_last_one(served: Served) -> None:
    """The reader does not read for a while: the server is writing when the stream is ended."""
    stream = served.watch([*NAMED, *REST], options=SMALL_WINDOW)
    assert (await stream.read()).text == "0"
    for _ in range(5):
        served.servicer.queue.put_nowait(BIG)
    await asyncio.sleep(0.2)
    served.chain.end_watches()
    assert (await texts(stream))[-1] == "UNAVAILABLE STREAM_ENDED"


async def test_a_reader_that_reads_nothing_keeps_no_stream_open(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "LAST_MESSAGE", 0.2)
    stream = served.watch([*NAMED, *REST], options=SMALL_WINDOW)
    assert (await stream.read()).text == "0"
    for _ in range(50):
        served.servicer.queue.put_nowait(BIG)
    await asyncio.sleep(0.2)
    served.chain.end_watches()
    assert [code for _, code in await served.mesh.served(1)] == ["UNAVAILABLE"]


async def test_a_reader_that_leaves_ends_the_stream(served: Served) -> None:
    stream = served.watch([*NAMED, *REST])
    assert (await stream.read()).text == "0"
    stream.cancel()
    assert [code for _, code in await served.mesh.served(1)] == ["CANCELLED"]
    assert served.servicer.closed.is_set()


async def test_other_streams_are_left_to_finish(served: Served) -> None:
    """An export that is under way when the server stops has the grace of `server.stop` to end by itself."""
    opened = channel(served.target, credential=Credential(KEY))
    served.mesh.closing(opened.close)
    stub: Any = NotesServiceStub(opened)
    stream = stub.EchoNotes(metadata=NAMED)
    await stream.write(pb.EchoNotesRequest(text="a"))
    assert (await stream.read()).text == "a"
    served.chain.end_watches()
    await stream.write(pb.EchoNotesRequest(text="b"))
    assert (await stream.read()).text == "b"
    await stream.done_writing()
