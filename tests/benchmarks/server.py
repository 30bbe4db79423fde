"""One server process of the benchmark: `python -m tests.benchmarks.server VARIANT`. Prints its port first.

bare            grpc.aio as it comes: registered methods, the standard loop, no interceptor
tuned           the same as runtime.server makes it: its options, one generic handler, uvloop
links:N         tuned, with the first N links of the chain
chain           tuned, with the whole chain
threads         the thread-pool grpc.server as it comes, eight threads
threads-chain   the same with the whole chain
"""

from __future__ import annotations

import asyncio
import sys
from concurrent import futures
from dataclasses import replace
from typing import Any

import grpc
import uvloop
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import add_NotesServiceServicer_to_server

from tenantmesh.interceptors import Chain, ChainPorts, ChainSettings, chain
from tenantmesh.interceptors.backends.memory.rate_store import MemoryRateStore
from tenantmesh.interceptors.concurrency import parse_concurrency
from tenantmesh.interceptors.leases.rates import LeasedRateLimiter
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.testing import TestMesh
from tenantmesh.runtime.server.application import ServicerRegistration
from tenantmesh.runtime.server.grpc_server import options
from tenantmesh.runtime.server.handlers import collected
from tenantmesh.runtime.settings import ServerSettings
from tests.example.notes import Notes, ThreadNotes

BARE = [("grpc.so_reuseport", 0)]
TUNED = options(ServerSettings(listen="127.0.0.1:0", max_concurrent_streams=1_000))
"""As the product's servers have them. One connection makes all calls here."""
SETTINGS = ChainSettings(roles={"owner": frozenset({"*"})}, concurrency=parse_concurrency("calls=1000/2000/100"))
"""One user has all calls in flight here, and none of them is refused."""
SERVICES = tuple(pb.DESCRIPTOR.services_by_name.values())


class Echo(Notes):
    """Answers a message with itself, and does nothing else."""

    async def AddNote(self, request: pb.AddNoteRequest, context: Any) -> pb.AddNoteResponse:
        return pb.AddNoteResponse(plan=request.text)


class ThreadEcho(ThreadNotes):
    """The same for the thread-pool server."""

    def AddNote(self, request: pb.AddNoteRequest, context: grpc.ServicerContext) -> pb.AddNoteResponse:
        return pb.AddNoteResponse(plan=request.text)


def ports(mesh: TestMesh) -> ChainPorts:
    """As a process of the product has them: limits are decided from leases, here of stores in memory."""
    return replace(mesh.ports(), limiter=LeasedRateLimiter(MemoryRateStore()))


def announce(port: int, mesh: TestMesh) -> None:
    """Prints the port, then a fresh token for each line that is read: tokens live five minutes, a run for longer."""
    mesh.plan("basic", limits={"notes": 10**12}, rates={"api": Rate(1_000_000, 1_000_000)})
    acme = mesh.add_tenant("acme")
    print(port, flush=True)
    for _ in sys.stdin:
        print(mesh.token(acme, ("owner",)), flush=True)


async def serve_aio(variant: str) -> None:
    """Serves until standard input ends."""
    mesh = TestMesh(SETTINGS)
    chain = Chain(SERVICES, ports(mesh), SETTINGS, complete=False)
    await chain.start()
    wrapped = [chain.aio_interceptor()] if variant == "chain" or variant.startswith("links") else []
    server = grpc.aio.server(interceptors=wrapped, options=BARE if variant == "bare" else TUNED)
    if variant == "bare":
        add_NotesServiceServicer_to_server(Echo(), server)
    else:
        registrations: list[ServicerRegistration] = [(add_NotesServiceServicer_to_server, Echo())]
        server.add_generic_rpc_handlers((collected(registrations),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await asyncio.get_running_loop().run_in_executor(None, announce, port, mesh)
    await server.stop(0)
    await chain.close()


def serve_threads(variant: str) -> None:
    """Serves until standard input ends."""
    mesh = TestMesh(SETTINGS)
    chain = Chain(SERVICES, ports(mesh), SETTINGS, complete=False)
    interceptor = chain.thread_interceptor()
    wrapped: list[grpc.ServerInterceptor] = [interceptor] if variant == "threads-chain" else []
    server = grpc.server(futures.ThreadPoolExecutor(8), interceptors=wrapped, options=BARE)
    add_NotesServiceServicer_to_server(ThreadEcho(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    announce(port, mesh)
    server.stop(0).wait()
    interceptor.close()


def main(variant: str) -> None:
    """Runs the variant."""
    if variant.startswith("links:"):
        chain.LINKS = chain.LINKS[: int(variant.partition(":")[2])]
    if variant.startswith("threads"):
        serve_threads(variant)
    elif variant == "bare":
        asyncio.run(serve_aio(variant))
    else:
        uvloop.run(serve_aio(variant))


if __name__ == "__main__":
    main(sys.argv[1])
