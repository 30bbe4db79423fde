"""Imports as callers make them, with a worker beside the service."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from google.longrunning.operations_pb2 import Operation as OperationMessage
from google.protobuf.duration_pb2 import Duration

from tenantmesh.chassis.jobs.settings import JobSettings
from tenantmesh.runtime.settings import DatabaseSettings, TelemetrySettings
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.tenant.v1 import operation_service_pb2
from tenantmesh.tenant.v1 import tenant_bulk_service_pb2 as pb
from tenantmesh.tenant.v1.operation_service_pb2_grpc import OperationServiceStub
from tenantmesh.tenant.v1.tenant_bulk_service_pb2_grpc import TenantBulkServiceStub
from tenantmesh.tenant_svc.settings import LifeSettings, TenantWorkerSettings
from tenantmesh.tenant_svc.worker.app import WorkerApp
from tests.integration.tenant_svc.serving import Service
from tests.integration.tenant_svc.world import World

REGION = "eu-central"
WAIT = Duration(seconds=40)
FAST = {"lease": "2s", "poll_interval": "100ms", "longest_pause": "50ms"}


def named(**fields: Any) -> dict[str, Any]:
    """A tenant of its own, as a line has it."""
    name = f"i-{uuid.uuid4().hex[:20]}"
    return {"slug": name, "externalId": f"crm:{name}", **fields}


def text(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@asynccontextmanager
async def working(world: World) -> AsyncIterator[None]:
    """A worker as it runs, with every capability, in an installation of one region."""
    database = world.database
    settings = TenantWorkerSettings(
        database=DatabaseSettings(url=database.url("tenant_app"), system_url=database.url("tenant_directory")),
        worker=JobSettings.model_validate({"queue_url": database.url("tenant_worker"), **FAST}),
        tenants=LifeSettings(regions=(REGION,)),
    )
    app = WorkerApp(settings, Telemetry(TelemetrySettings(), "test"))
    await app.start()
    try:
        yield
    finally:
        await app.close()


class Importer:
    """Imports lines, and reads what became of them."""

    def __init__(self, service: Service, key: str, world: World) -> None:
        self.bulk: Any = TenantBulkServiceStub(service.channel(key))
        self.operations: Any = OperationServiceStub(service.channel(key))
        self.world = world

    async def start(self, lines: bytes, **fields: Any) -> OperationMessage:
        started: OperationMessage = await self.bulk.ImportTenants(pb.ImportTenantsRequest(lines=lines, **fields))
        return started

    async def ended(self, started: OperationMessage) -> OperationMessage:
        asked = operation_service_pb2.WaitOperationRequest(
            operation_id=started.name.removeprefix("operations/"), timeout=WAIT
        )
        ended: OperationMessage = await self.operations.WaitOperation(asked, timeout=50)
        assert ended.done
        return ended

    async def done(self, lines: bytes, **fields: Any) -> pb.ImportTenantsResponse:
        """What became of the lines, with a worker."""
        async with working(self.world):
            ended = await self.ended(await self.start(lines, **fields))
        response = pb.ImportTenantsResponse()
        assert ended.response.Unpack(response), ended
        return response


def counts(response: pb.ImportTenantsResponse) -> tuple[int, int, int, int]:
    each = response.counts
    return each.created, each.updated, each.unchanged, each.rejected


def metadata_of(operation: OperationMessage) -> pb.ImportTenantsMetadata:
    metadata = pb.ImportTenantsMetadata()
    assert operation.metadata.Unpack(metadata)
    return metadata
