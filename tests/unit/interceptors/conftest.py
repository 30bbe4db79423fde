"""The example service behind a chain, on both kinds of server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import NotesServiceStub, add_NotesServiceServicer_to_server

from tenantmesh.interceptors import ChainSettings, Rate
from tenantmesh.interceptors.testing import TestMesh
from tests.example.notes import Notes, ThreadNotes


@dataclass
class Running:
    """A served example and how to reach it."""

    mesh: TestMesh
    target: str
    kind: str

    def stub(self, token: str | None = None) -> Any:
        """A stub on a channel that closes with the test's mesh."""
        channel = self.mesh.client(self.target, token=token)
        self.mesh.closing(channel.close)
        return NotesServiceStub(channel)

    def channel(self, token: str | None = None) -> grpc.aio.Channel:
        """A bare channel."""
        channel = self.mesh.client(self.target, token=token)
        self.mesh.closing(channel.close)
        return channel


SETTINGS = ChainSettings(
    base_domain="mesh.test",
    trusted_proxies=("127.0.0.0/8",),
    roles={"owner": frozenset({"*"}), "reader": frozenset({"notes.read"})},
    rates={"public": Rate(per_second=0.1, burst=5), "api": Rate(per_second=0.01, burst=3)},
    read_timeout=0.5,
)


@pytest.fixture(params=["aio", "threads"])
async def running(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    async with TestMesh(SETTINGS) as mesh:
        servicer = Notes() if request.param == "aio" else ThreadNotes()
        target = await mesh.serve(add_NotesServiceServicer_to_server, servicer, pb.DESCRIPTOR, kind=request.param)
        yield Running(mesh, target, request.param)
