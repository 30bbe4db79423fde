"""Imports step by step: progress, cancelling, workers that die, and several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant.v1 import operation_service_pb2
from tenantmesh.tenant_svc.bulk import import_executor
from tenantmesh.tenant_svc.bulk.import_executor import ImportExecutor
from tenantmesh.tenant_svc.bulk.imports import ImportProgress, ImportRequest, TenantImports
from tenantmesh.tenant_svc.bulk.lines import lines_in, read
from tenantmesh.tenant_svc.bulk.retention import BulkRetention
from tenantmesh.tenant_svc.operations.operation import Operation, OperationState
from tenantmesh.tenant_svc.operations.operations import Operations
from tests.integration.tenant_svc.bulk.importing import Importer, counts, metadata_of, named, text
from tests.integration.tenant_svc.serving import info_of
from tests.integration.tenant_svc.world import ACTOR, World


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


async def test_progress_only_grows_and_ends_at_a_hundred(executor_of_imports: ImportExecutor, doors: Doors) -> None:
    lines = text(*(named() for _ in range(1200)), named(slug="A B"))
    operation, parsed = await started(doors, lines), read(lines_in(lines))
    seen = []
    while not operation.done:
        operation = await executor_of_imports.step(operation, parsed)
        progress = ImportProgress.from_json(operation.progress)
        seen.append((progress.percent, progress.created, len(progress.rejected)))
    assert seen == [(41, 500, 0), (83, 1000, 0), (100, 1200, 1)]


async def test_imports_are_forgotten_a_month_after_their_end(
    executor_of_imports: ImportExecutor, doors: Doors, world: World
) -> None:
    old, late, under_way = [await started(doors, text(named())) for _ in range(3)]
    for each in (old, late):
        await executor_of_imports.run(each.id)
    aging = "update tenant.mesh_operations set create_time = create_time - $2::interval, end_time = end_time - $2"
    for each, age in ((old, timedelta(days=31)), (late, timedelta(days=29)), (under_way, timedelta(days=31))):
        await world.rows(f"{aging} where operation_id = $1", each.id, age)
    retention = BulkRetention(doors)
    assert await retention.forget_imports() == 1
    assert await retention.forget_imports() == 0
    query = "select operation_id from tenant.mesh_operations where operation_id = any($1)"
    kept = {row["operation_id"] for row in await world.rows(query, [old.id, late.id, under_way.id])}
    assert kept == {late.id, under_way.id}
    ended = await executor_of_imports.run(under_way.id)
    assert ended is not None
    assert ended.state is OperationState.SUCCEEDED
