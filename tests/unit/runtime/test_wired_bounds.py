"""Bounds of a process reach their parts from the settings, each in its own place."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tenantmesh.runtime.database import Database
from tenantmesh.runtime.database import database as module
from tenantmesh.runtime.database.pool import PoolShares
from tenantmesh.runtime.health import NOT_SERVING, Health, Pulse
from tenantmesh.runtime.server import Application
from tenantmesh.runtime.server.grpc_server import watch_places
from tenantmesh.runtime.server.health_server import make_health_server
from tenantmesh.runtime.settings import DatabaseSettings, ServerSettings
from tests.ports import free_port


def test_the_connections_have_the_bounds_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(module, "Pool", lambda _connect, **bounds: given.append(bounds))
    settings = DatabaseSettings.model_validate(
        {
            "pool_size": 7,
            "system_pool_size": 3,
            "tenant_share": 0.25,
            "max_waiting": 50,
            "tenant_max_waiting": 6,
            "acquire_timeout": "4s",
            "max_connection_age": "8m",
        }
    )
    Database(settings, schema="demo")
    assert [each["size"] for each in given] == [7, 3]
    for bounds in given:
        assert bounds["shares"] == PoolShares(share=0.25, waiting=50, holder_waiting=6)
        assert (bounds["timeout"], bounds["age"]) == (timedelta(seconds=4), timedelta(minutes=8))


async def test_a_loop_is_stuck_after_the_time_that_is_set() -> None:
    """A pulse that has not begun stands still."""
    health, settings = Health({}), ServerSettings(health_stuck_after=timedelta(seconds=1))
    target = f"127.0.0.1:{free_port()}"
    await health.start()
    application = Application(services=[], health=health)
    server = make_health_server(target, application, Pulse(), settings, watch_places(settings))
    server.start()
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
        seen = [(await watch.read()).status, (await watch.read()).status]
    assert seen[-1] == NOT_SERVING
    server.stop(None).wait(10)
    await health.close()
