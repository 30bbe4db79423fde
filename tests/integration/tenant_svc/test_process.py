"""The process of tenant_svc: serves what the environment says, stops on a signal, and names wrong settings."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tenantmesh.deploy.stack.engines.valkey import Store
from tests.fixtures.engines import WorkerDatabase
from tests.ports import free_port


async def start(environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TENANTMESH_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tenantmesh.tenant_svc",
        env={**inherited, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_it_serves_and_stops_on_a_signal(migrated: WorkerDatabase, store: Store) -> None:
    target = f"127.0.0.1:{free_port()}"
    process = await start(
        {
            "TENANTMESH_DATABASE_URL": migrated.url("tenant_app").get_secret_value(),
            "TENANTMESH_DATABASE_SYSTEM_URL": migrated.url("tenant_directory").get_secret_value(),
            "TENANTMESH_REDIS_URL": store.url.get_secret_value(),
            "TENANTMESH_REDIS_CLUSTER": str(store.cluster),
            "TENANTMESH_MESH_CREDENTIAL": "tmk_test",
            "TENANTMESH_SERVER_LISTEN": target,
            "TENANTMESH_SERVER_DRAIN_WAIT": "0",
            "TENANTMESH_EVENTS_RETENTION": "30d",
        }
    )
    try:
        async with grpc.aio.insecure_channel(target) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            output, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")
        assert b"refusing" not in output
    finally:
        if process.returncode is None:
            process.kill()


async def test_missing_settings_are_named_without_a_traceback() -> None:
    process = await start({})
    async with asyncio.timeout(20):
        _, errors = await process.communicate()
    assert process.returncode not in (0, None)
    assert b"TENANTMESH_MESH" in errors
    assert b"Traceback" not in errors
