"""The example internal service as a program: what it takes to adopt TenantMesh. interceptors/README.md quotes it."""

from __future__ import annotations

import asyncio
from os import environ as env

import grpc
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import add_NotesServiceServicer_to_server

from tenantmesh.interceptors import ChainSettings, Mesh, stop_signal
from tests.example.notes import Notes

ROLES = {"owner": frozenset({"*"}), "member": frozenset({"notes.read"})}


async def serve() -> None:
    """Serves until SIGTERM or SIGINT."""
    mesh = Mesh(tenant_target=env["TENANT"], auth_target=env["AUTH"], credential=env["KEY"], issuer=env["ISSUER"])
    chain = mesh.chain(pb.DESCRIPTOR, settings=ChainSettings(roles=ROLES))
    server = grpc.aio.server(interceptors=[chain.aio_interceptor()])
    add_NotesServiceServicer_to_server(Notes(), server)
    server.add_insecure_port(env["LISTEN"])
    await asyncio.gather(chain.start(), server.start())
    await stop_signal()
    await asyncio.gather(server.stop(5), chain.close())  # what is left of allowances goes back …
    await mesh.close()  # … through the mesh


if __name__ == "__main__":
    asyncio.run(serve())
