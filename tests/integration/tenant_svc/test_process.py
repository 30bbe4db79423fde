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
from tenantmesh.interceptors import Credential, channel
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import TenantServiceStub
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.auth_stand_in import AuthStandIn
from tests.integration.tenant_svc.serving import info_of
from tests.ports import free_port

untyped: Any = health_pb2
"""The same module: its type stubs are older than the method List."""
untyped_stub: Any = TenantServiceStub


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


OVER_REST = [("x-envoy-original-path", "/api/v1/tenants:watch")]


async def ending(stream: Any) -> str:
    """The text of the last message of a watch over REST, which must say how the stream ended."""
    async with asyncio.timeout(10):
        messages = [message async for message in stream]
    assert all(message.cursor == messages[0].cursor for message in messages)
    assert info_of(messages[-1].error).reason == "STREAM_ENDED"
    return str(messages[-1].error.message)


async def test_it_serves_and_stops_on_a_signal(migrated: WorkerDatabase, store: Store) -> None:
    """A watch of a REST caller learns that it lasted long enough, and that the process stops."""
    target = f"127.0.0.1:{free_port()}"
    auth = AuthStandIn()
    auth_server, auth_target = await auth.serve()
    process = await start(
        {
            "TENANTMESH_DATABASE_URL": migrated.url("tenant_app").get_secret_value(),
            "TENANTMESH_DATABASE_SYSTEM_URL": migrated.url("tenant_directory").get_secret_value(),
            "TENANTMESH_REDIS_URL": store.url.get_secret_value(),
            "TENANTMESH_REDIS_CLUSTER": str(store.cluster),
            "TENANTMESH_MESH_CREDENTIAL": "tmk_test",
            "TENANTMESH_SERVER_LISTEN": target,
            "TENANTMESH_MESH_AUTH_TARGET": auth_target,
            "TENANTMESH_SERVER_DRAIN_WAIT": "0",
            "TENANTMESH_SERVER_MAX_CONNECTION_AGE": "1s",
            "TENANTMESH_SERVER_MAX_CONNECTION_AGE_GRACE": "2s",
            "TENANTMESH_EVENTS_RETENTION": "30d",
        }
    )
    try:
        async with grpc.aio.insecure_channel(target) as probe:
            stub: Any = health_pb2_grpc.HealthStub(probe)
            answer = await stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=20)
            listed = await stub.List(untyped.HealthListRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert {"", "tenantmesh.tenant.v1.TenantService"} <= set(listed.statuses)
        operator = Credential(auth.key(policy_pb2.AUDIENCE_OPERATOR, "*"))
        async with channel(target, credential=operator) as aged, channel(target, credential=operator) as drained:
            watch = untyped_stub(aged).WatchTenants(pb.WatchTenantsRequest(), metadata=OVER_REST)
            assert "longest time" in await ending(watch)
            watch = untyped_stub(drained).WatchTenants(pb.WatchTenantsRequest(), metadata=OVER_REST)
            assert (await watch.read()).checkpoint.caught_up
            process.send_signal(signal.SIGTERM)
            assert "the server stops" in await ending(watch)
        async with asyncio.timeout(20):
            output, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")
        assert b"refusing" not in output
    finally:
        if process.returncode is None:
            process.kill()
        await auth_server.stop(0)


async def test_missing_settings_are_named_without_a_traceback() -> None:
    process = await start({})
    async with asyncio.timeout(20):
        _, errors = await process.communicate()
    assert process.returncode not in (0, None)
    assert b"TENANTMESH_MESH" in errors
    assert b"Traceback" not in errors
