"""Imports as callers see them: lines over gRPC, a worker beside the service, and what becomes of each line."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.longrunning.operations_pb2 import Operation as OperationMessage
from google.protobuf.duration_pb2 import Duration

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.settings import JobSettings
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.settings import DatabaseSettings, TelemetrySettings
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.tenant.v1 import operation_service_pb2, tenant_pb2
from tenantmesh.tenant.v1 import tenant_bulk_service_pb2 as pb
from tenantmesh.tenant.v1 import tenant_service_pb2 as single
from tenantmesh.tenant.v1.operation_service_pb2_grpc import OperationServiceStub
from tenantmesh.tenant.v1.tenant_bulk_service_pb2_grpc import TenantBulkServiceStub
from tenantmesh.tenant_svc.bulk import import_executor
from tenantmesh.tenant_svc.bulk.creations import TenantCreations
from tenantmesh.tenant_svc.bulk.import_executor import ImportExecutor
from tenantmesh.tenant_svc.bulk.imports import ImportProgress, ImportRequest, TenantImports
from tenantmesh.tenant_svc.bulk.lines import lines_in, read
from tenantmesh.tenant_svc.bulk.requests import BatchMemory
from tenantmesh.tenant_svc.operations.operation import Operation, OperationState
from tenantmesh.tenant_svc.operations.operations import Operations
from tenantmesh.tenant_svc.settings import LifeSettings, TenantWorkerSettings
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tenantmesh.tenant_svc.tenants.updates import TenantUpdates
from tenantmesh.tenant_svc.worker.app import WorkerApp
from tests.integration.tenant_svc.serving import Service, info_of, refusal
from tests.integration.tenant_svc.world import ACTOR, World

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
    """A worker as it runs, with every capability."""
    database = world.database
    settings = TenantWorkerSettings(
        database=DatabaseSettings(url=database.url("tenant_app"), system_url=database.url("tenant_directory")),
        worker=JobSettings.model_validate({"queue_url": database.url("tenant_worker"), **FAST}),
    )
    app = WorkerApp(settings, Telemetry(TelemetrySettings(), "test"))
    await app.start()
    try:
        yield
    finally:
        await app.close()


@pytest.fixture
def key(service: Service) -> str:
    return service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*")


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


@pytest.fixture
def importer(service: Service, key: str, world: World) -> Importer:
    return Importer(service, key, world)


def counts(response: pb.ImportTenantsResponse) -> tuple[int, int, int, int]:
    each = response.counts
    return each.created, each.updated, each.unchanged, each.rejected


def metadata_of(operation: OperationMessage) -> pb.ImportTenantsMetadata:
    metadata = pb.ImportTenantsMetadata()
    assert operation.metadata.Unpack(metadata)
    return metadata


async def test_lines_become_tenants_once_however_often_they_are_imported(
    service: Service, importer: Importer, world: World
) -> None:
    lines = [named(displayName="Ä", planId="premium", labels={"team": "emea"}), named(timeZone="Europe/Berlin")]
    assert counts(await importer.done(text(*lines))) == (2, 0, 0, 0)
    tenant = await service.operator.GetTenant(single.GetTenantRequest(id=lines[0]["slug"]))
    assert (tenant.display_name, tenant.plan_id, tenant.labels["team"]) == ("Ä", "premium", "emea")
    assert counts(await importer.done(text(*lines))) == (0, 0, 2, 0)
    lines[1]["displayName"] = "Renamed"
    assert counts(await importer.done(text(*lines))) == (0, 1, 1, 0)
    renamed = await service.operator.GetTenant(single.GetTenantRequest(id=lines[1]["slug"]))
    assert (renamed.display_name, renamed.time_zone) == ("Renamed", "Europe/Berlin")
    assert not await world.rows("select from tenant.import_lines")


async def test_a_line_changes_the_fields_that_it_has_and_no_others(service: Service, importer: Importer) -> None:
    line = named(displayName="First", labels={"a": "1"}, deleteProtection=True)
    await importer.done(text(line))
    await importer.done(text({"slug": line["slug"], "externalId": line["externalId"], "labels": {"b": "2"}}))
    tenant = await service.operator.GetTenant(single.GetTenantRequest(id=line["slug"]))
    assert (tenant.display_name, dict(tenant.labels), tenant.delete_protection) == ("First", {"b": "2"}, True)


async def test_every_bad_line_is_reported_by_number_and_reason_and_the_others_count(
    service: Service, importer: Importer
) -> None:
    taken = await service.operator.CreateTenant(single.CreateTenantRequest(slug=named()["slug"]))
    gone = await service.operator.CreateTenant(single.CreateTenantRequest(slug=named()["slug"], external_id="gone:1"))
    await service.operator.DeleteTenant(single.DeleteTenantRequest(id=gone.id))
    first, again = named(), named()
    bad = [
        b"\xef\xbb\xbf" + text(first)[:-1] + b"\r",
        b"",
        b"not json",
        b'{"slug": "\xff"}',
        b"[1, 2]",
        text(named(colour="red"))[:-1],
        text({"slug": "no-external-id"})[:-1],
        text(named(slug="A B"))[:-1],
        text(named(labels=["x"]))[:-1],
        text(named(planId="no_such_plan"))[:-1],
        text(named(slug=taken.slug))[:-1],
        text({"slug": named()["slug"], "externalId": first["externalId"]})[:-1],
        text(named(externalId="gone:1"))[:-1],
        text(named(requestId=str(uuid.uuid4())))[:-1],
        b'{"slug": "' + b"x" * 70_000 + b'"}',
        b"[" * 3000,
        b'{"slug": "a", "slug": "b"}',
        b'{"slug": "\\ud800", "externalId": "x:y"}',
        text(named(parentId=str(uuid.uuid4())))[:-1],
        text(again)[:-1],
    ]
    response = await importer.done(b"\n".join(bad), first_line=101)
    assert counts(response) == (2, 0, 0, len(bad) - 3)
    reasons = {each.line - 100: each.reason for each in response.rejected_lines}
    assert list(reasons) == [*range(3, 20)]
    for number, words in {
        3: "is not JSON",
        4: "is not UTF-8",
        5: "must be a JSON object",
        6: "colour is no field",
        7: "externalId: is required",
        8: "slug: must be 3 to 40",
        9: "wrong type",
        10: "PLAN_NOT_FOUND",
        11: "SLUG_TAKEN",
        12: "externalId: is that of line 101 too",
        13: "deleted tenant",
        14: "requestId is no field",
        15: "longer than 65536 bytes",
        17: "has a field twice",
        19: "PARENT_NOT_FOUND",
    }.items():
        assert words in reasons[number], (number, reasons[number])
    assert all(len(reason) <= 300 for reason in reasons.values())


async def test_a_dry_run_reports_the_same_and_changes_nothing(
    service: Service, importer: Importer, world: World
) -> None:
    known, other, fresh = named(displayName="Known"), named(), named()
    await importer.done(text(known, other))
    lines = text({**known, "displayName": "New"}, other, fresh, named(slug="A B"))
    assert counts(await importer.done(lines, validate_only=True)) == (1, 1, 1, 1)
    assert not await world.rows("select from tenant.tenants where slug = $1", fresh["slug"])
    tenant = await service.operator.GetTenant(single.GetTenantRequest(id=known["slug"]))
    assert tenant.display_name == "Known"
    assert counts(await importer.done(lines)) == (1, 1, 1, 1)


async def test_other_values_are_reported_instead_of_stored_as_asked(service: Service, importer: Importer) -> None:
    known = named(displayName="Known")
    await importer.done(text(known))
    changed = text({**known, "displayName": "New", "locale": "de"})
    response = await importer.done(changed, on_existing=pb.ON_EXISTING_REPORT)
    assert counts(response) == (0, 0, 0, 1)
    assert response.rejected_lines[0].reason == "the tenant exists with other values of display_name, locale"
    moved = await importer.done(text({**known, "planId": "premium"}))
    assert "MigrateTenantPlan" in moved.rejected_lines[0].reason
    tenant = await service.operator.GetTenant(single.GetTenantRequest(id=known["slug"]))
    assert (tenant.display_name, tenant.state) == ("Known", tenant_pb2.TENANT_STATE_ACTIVE)


async def test_a_slug_is_moved_between_lines_only_when_it_is_free(importer: Importer) -> None:
    one, two = named(), named()
    await importer.done(text(one, two))
    response = await importer.done(text({**one, "slug": two["slug"]}, {**two, "slug": named()["slug"]}))
    assert response.counts.updated + response.counts.rejected == 2


async def test_a_repeated_request_gets_its_operation_and_other_lines_are_refused(importer: Importer) -> None:
    asked, lines = str(uuid.uuid4()), text(named())
    first = await importer.start(lines, request_id=asked)
    assert [await importer.start(lines, request_id=asked) for _ in range(2)] == [first] * 2
    reused = importer.start(text(named()), request_id=asked)
    assert await refusal(reused) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"lines": b""}, "lines"),
        ({"lines": b"\n\r\n  \n"}, "lines"),
        ({"lines": b"{}\n" * 5001}, "lines"),
        ({"lines": b"{}", "first_line": -1}, "first_line"),
        ({"lines": b"{}", "on_existing": 9}, "on_existing"),
        ({"lines": b"{}", "request_id": "none"}, "request_id"),
    ],
)
async def test_wrong_requests_are_refused_by_field(importer: Importer, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=field) as caught:
        await importer.bulk.ImportTenants(pb.ImportTenantsRequest(**fields))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_ten_megabytes_are_refused_before_anything_is_stored(importer: Importer, world: World) -> None:
    code, _ = await refusal_of_size(importer)
    assert code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}


async def refusal_of_size(importer: Importer) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await importer.bulk.ImportTenants(pb.ImportTenantsRequest(lines=b"x" * 10_000_000))
    return caught.value.code(), caught.value.details() or ""


async def test_progress_is_told_and_a_cancelled_import_stops_between_two_transactions(
    importer: Importer, operations: Operations, executor_of_imports: ImportExecutor, doors: Doors
) -> None:
    lines = text(*(named() for _ in range(1200)))
    operation = await started(doors, lines)
    parsed = read(lines_in(lines))
    moved = await executor_of_imports.step(operation, parsed)
    shown = metadata_of(await importer.operations.GetOperation(asked_for(operation)))
    assert (shown.lines, shown.counts.created, shown.progress_percent) == (1200, 500, 41)
    cancelled = await operations.cancel(None, str(operation.id), ACTOR)
    assert await executor_of_imports.step(moved, parsed) == cancelled
    ended = await executor_of_imports.run(operation.id)
    assert ended == cancelled
    told = await importer.operations.GetOperation(asked_for(operation))
    assert info_of(told.error).reason == "OPERATION_CANCELLED"
    assert "had done until then stays" in told.error.message
    assert counts(await importer.done(lines)) == (700, 0, 500, 0)


def asked_for(operation: Operation) -> operation_service_pb2.GetOperationRequest:
    return operation_service_pb2.GetOperationRequest(operation_id=str(operation.id))


async def started(doors: Doors, lines: bytes) -> Operation:
    asked = ImportRequest.checked(lines=lines, first_line=0, updates=True, dry_run=False)
    return await TenantImports(doors, uuid7).start(asked, None, ACTOR)


@pytest.fixture
def executor_of_imports(doors: Doors, tenants: Tenants) -> ImportExecutor:
    creations = TenantCreations(doors, tenants, BatchMemory(doors), uuid7)
    return ImportExecutor(doors, creations, TenantUpdates(doors, LifeSettings()))


async def rows_of(world: World, lines: Sequence[dict[str, Any]]) -> int:
    external_ids = [line["externalId"] for line in lines]
    (row,) = await world.rows("select count(*) from tenant.tenants where external_id = any($1)", external_ids)
    return int(row["count"])


async def dying(*_arguments: Any) -> Operation:
    raise asyncio.CancelledError


async def test_several_workers_at_one_import_have_one_effect(
    executor_of_imports: ImportExecutor, doors: Doors, world: World
) -> None:
    """As when a worker that was taken for dead still works."""
    lines = [named() for _ in range(1100)]
    operation = await started(doors, text(*lines))
    ended = await asyncio.gather(*(executor_of_imports.run(operation.id) for _ in range(3)))
    assert {each.state for each in ended if each} == {OperationState.SUCCEEDED}
    progress = ImportProgress.from_json((ended[0] or operation).progress)
    assert (progress.created, progress.unchanged, len(progress.rejected)) == (1100, 0, 0)
    assert await rows_of(world, lines) == 1100


async def test_two_imports_of_the_same_lines_at_once_create_each_tenant_once(
    executor_of_imports: ImportExecutor, doors: Doors, world: World
) -> None:
    """As when a client was killed and started again while the worker still does what it had sent."""
    lines = [named() for _ in range(900)]
    both = [await started(doors, text(*lines)) for _ in range(2)]
    ended = await asyncio.gather(*(executor_of_imports.run(each.id) for each in both))
    progress = [ImportProgress.from_json(each.progress) for each in ended if each]
    assert [len(each.rejected) for each in progress] == [0, 0]
    assert sum(each.created for each in progress) == 900
    assert await rows_of(world, lines) == 900


@pytest.mark.parametrize("place", ["in a transaction", "between two"])
async def test_a_worker_that_dies_loses_and_doubles_nothing(
    executor_of_imports: ImportExecutor, doors: Doors, world: World, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    known = [named(displayName="Before") for _ in range(3)]
    await executor_of_imports.run((await started(doors, text(*known))).id)
    lines = [{**line, "displayName": "After"} for line in known] + [named() for _ in range(800)]
    operation = await started(doors, text(*lines))
    if place == "between two":
        await executor_of_imports.step(operation, read(lines_in(text(*lines))))
    with monkeypatch.context() as patched:
        patched.setattr(import_executor, "_advance", dying)
        with pytest.raises(asyncio.CancelledError):
            await executor_of_imports.run(operation.id)
    ended = await executor_of_imports.run(operation.id)
    assert ended is not None
    progress = ImportProgress.from_json(ended.progress)
    assert (progress.created, progress.updated + progress.unchanged) == (800, 3)
    assert await rows_of(world, lines) == 803
    events = await world.rows(
        "select tenant_id from tenant.tenant_events e join tenant.tenants t using (tenant_id) "
        "where t.external_id = any($1) and e.type = 'UPDATED'",
        [line["externalId"] for line in known],
    )
    assert len(events) == 3
