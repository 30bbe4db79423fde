"""Doing an import in a job: some lines in each transaction, so that others may write between two of them.

A process may die after any of them, and each may be repeated. The transaction that creates tenants records the progress
too. Changes of tenants that exist have one of their own, before it: doing them again changes nothing more.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.records import TraceContext
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.bulk import repository as bulk
from tenantmesh.tenant_svc.bulk.batch import ItemOutcome
from tenantmesh.tenant_svc.bulk.changes import OneChange, change_several
from tenantmesh.tenant_svc.bulk.comparison import Sorted, sorted_by
from tenantmesh.tenant_svc.bulk.creations import Ready, TenantCreations
from tenantmesh.tenant_svc.bulk.imports import ImportProgress
from tenantmesh.tenant_svc.bulk.lines import ImportLine, RejectedLine, TenantLine, lines_in, read, reason_of
from tenantmesh.tenant_svc.dry_runs import kept
from tenantmesh.tenant_svc.operations import repository
from tenantmesh.tenant_svc.operations.operation import Failure, Operation, OperationState
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.tenants.edits import TenantEdit
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.updates import TenantUpdates

__all__ = ["ImportExecutor"]

_LINES_AT_ONCE = 500
_FAILED = Failure(
    "INTERNAL", "INTERNAL", "The import failed on our side. What it had done until then stays; send the lines again."
)


class ImportExecutor:
    """The executor of imports. All methods raise Unavailable when the database can't be reached; the job is then
    retried."""

    def __init__(self, doors: Doors, creations: TenantCreations, updates: TenantUpdates) -> None:
        self._doors = doors
        self._creations = creations
        self._updates = updates

    async def cause(self, operation_id: uuid.UUID) -> TraceContext | None:
        """Return the trace of the call that asked for the import."""
        operation, _ = await self._stored(operation_id)
        return None if operation is None else operation.cause

    async def run(self, operation_id: uuid.UUID) -> Operation | None:
        """Carry the import on to its end, and return it; None when it does not exist. An ended one stays as it is."""
        operation, data = await self._stored(operation_id)
        if operation is None:
            return None
        lines: list[ImportLine] = []
        if not operation.done:
            numbered = lines_in(data, operation.request["first_line"])
            lines = await asyncio.to_thread(read, numbered)  # a second of work: not on the loop of the other jobs
        while not operation.done:
            operation = await self.step(operation, lines)
        async with self._doors.system("delete the lines of an import") as connection:
            await bulk.forget_lines(connection, operation_id)
        return operation

    async def step(self, operation: Operation, lines: Sequence[ImportLine]) -> Operation:
        """Do the next lines, or end the import after the last. Return the operation after it. When another worker was
        faster, do nothing but return what it has stored."""
        done = ImportProgress.from_json(operation.progress).done
        part = await self._sorted(lines[done : done + _LINES_AT_ONCE], operation)
        await self._change(part, operation)
        drafts = await self._creations.placed([line.new for line in part.new])
        async with self._doors.system("create the tenants of an import") as connection:
            stored = await repository.get_locked(connection, None, operation.id)
            if stored is None:
                raise LookupError("an import that this job has read is missing")
            if stored.done or stored.progress != operation.progress:
                return stored
            await lock_log(connection)
            checked = await self._creations.checked_in(connection, drafts)
            if _overtaken(checked):
                return stored  # another import has created one of these tenants since: sort the lines again
            if not operation.request["dry_run"]:
                await self._creations.create_in(connection, checked, operation.actor)
            return await _advance(connection, stored, _after(stored, part, checked))

    async def give_up(self, operation_id: uuid.UUID) -> Operation | None:
        """End an import that fails again and again, through no fault of the caller."""
        async with self._doors.system("give up an import of tenants") as connection:
            operation = await repository.get_locked(connection, None, operation_id)
            if operation is None or operation.done:
                return operation
            await bulk.forget_lines(connection, operation_id)
            return await repository.end(connection, replace(operation, state=OperationState.FAILED, error=_FAILED))

    async def _stored(self, operation_id: uuid.UUID) -> tuple[Operation | None, bytes]:
        async with self._doors.system("read an import of tenants", read_only=True) as connection:
            operation = await repository.get(connection, None, operation_id)
            return operation, await bulk.lines_of(connection, operation_id)

    async def _sorted(self, lines: Sequence[ImportLine], operation: Operation) -> Sorted:
        external_ids = [line.new.profile.external_id for line in lines if isinstance(line, TenantLine)]
        async with self._doors.system("find the tenants of an import", read_only=True) as connection:
            existing = await bulk.tenants_by_external_ids(connection, external_ids)
        return sorted_by(existing, lines, updates=operation.request["updates"])

    async def _change(self, part: Sorted, operation: Operation) -> None:
        """Change the tenants that exist. Note which lines can't be done."""
        if not part.edits:
            return
        targets = dict(enumerate(part.edits))
        edits = [self._edit(edit) for _, edit in part.edits.values()]
        outcomes: dict[int, ItemOutcome] = {}
        door = self._doors.tenants("the changes of some lines of an import at once")
        async with kept(door, keep=not operation.request["dry_run"]) as several:
            await change_several(several, targets, dict(enumerate(edits)), outcomes)
        for index, outcome in outcomes.items():
            if isinstance(outcome, MeshError):
                part.reject(part.edits[targets[index]][0], reason_of(outcome))
            else:
                part.updated += 1

    def _edit(self, edit: TenantEdit) -> OneChange:
        async def change(connection: Connection, tenant_id: TenantId) -> Tenant:
            return await self._updates.update_in(connection, tenant_id, edit)

        return change


def _overtaken(checked: Sequence[Ready | MeshError]) -> bool:
    return any(isinstance(each, MeshError) and each.reason == "EXTERNAL_ID_TAKEN" for each in checked)


def _after(operation: Operation, part: Sorted, checked: Sequence[Ready | MeshError]) -> ImportProgress:
    before = ImportProgress.from_json(operation.progress)
    refused = [
        RejectedLine(line.number, reason_of(each))
        for line, each in zip(part.new, checked, strict=True)
        if isinstance(each, MeshError)
    ]
    here = sorted((*part.rejected, *refused), key=lambda each: each.number)
    return replace(
        before,
        done=before.done + len(checked) + part.updated + part.unchanged + len(part.rejected),
        created=before.created + len(checked) - len(refused),
        updated=before.updated + part.updated,
        unchanged=before.unchanged + part.unchanged,
        rejected=(*before.rejected, *here),
    )


async def _advance(connection: Connection, operation: Operation, progress: ImportProgress) -> Operation:
    moved = replace(operation, state=OperationState.APPLYING, progress=progress.to_json())
    if progress.done < progress.lines:
        await repository.advance(connection, moved)
        return moved
    return await repository.end(connection, replace(moved, state=OperationState.SUCCEEDED, result={}))
