"""Serves grpc.health.v1 and a Channelz that sleeps: `GetServers(start_server_id=n)` answers after n milliseconds."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from tenantmesh.runtime.health import Check, Health
from tenantmesh.runtime.server import Application, run
from tenantmesh.runtime.settings import ProcessSettings, ServerSettings
from tenantmesh.runtime.telemetry import setup


class Sleeper(channelz_pb2_grpc.ChannelzServicer):
    """Answers late, so that a call can be under way while the process drains."""

    async def GetServers(self, request: Any, _context: object) -> Any:
        await asyncio.sleep(request.start_server_id / 1000)
        return channelz_pb2.GetServersResponse(end=True)


async def passes() -> None:
    """Always well."""


async def said(what: str) -> None:
    """Tell the test how far the process is."""
    sys.stderr.write(f"{what}\n")


async def build(_settings: ServerSettings) -> Application:
    """Make the application, or refuse when the test wants that."""
    if os.environ.get("DEMO_REFUSES"):
        raise RuntimeError("postgresql://app:hunter2@db/tm does not isolate tenants")
    return Application(
        services=[(channelz_pb2_grpc.add_ChannelzServicer_to_server, Sleeper())],
        health=Health({"demo.v1.Notes": [Check("passes", passes)]}),
        names=["grpc.channelz.v1.Channelz"],
        start=lambda: said("started"),
        close=lambda: said("closed"),
    )


if __name__ == "__main__":
    settings = ProcessSettings()
    sys.exit(run(build, settings.server, setup(settings.telemetry, "demo")))
