"""Carrying out a purge in a job, step by step.

A process may die anywhere. The operation's row says which steps have ended; a step that had not is done again, and
finds what it had done. Each batch of rows is a transaction of its own, so that a large tenant blocks nobody. The
numbers of before are stored before anything is removed, and those of after are counted: a lost batch skews none.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.signing.signing_key import Signer
from tenantmesh.interceptors.errors import FailedPrecondition
from tenantmesh.interceptors.records import TraceContext
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.bulk import repository as batches
from tenantmesh.tenant_svc.operations import repository as operations
from tenantmesh.tenant_svc.operations.operation import FAILED_BY_US, Failure, Operation, OperationState
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.purges import repository
from tenantmesh.tenant_svc.purges.destruction import Destruction
from tenantmesh.tenant_svc.purges.proof import written_proof
from tenantmesh.tenant_svc.purges.purge import PurgeProgress, PurgeStep, StoredPurge, tenant_of_purge
from tenantmesh.tenant_svc.purges.refusals import children_left, data_left, not_deleted
from tenantmesh.tenant_svc.purges.signature import sign

__all__ = ["PurgeExecutor"]

_REASON = "a purge is an operation of the mesh"
_REPORT_SECONDS = 1.0

_Result = Awaitable[PurgeProgress]


class _Stopped(Exception):
    """The operation has ended meanwhile: it was cancelled, or another process has finished it."""


class PurgeExecutor:
    """The executor of purges. All methods raise Unavailable when something they need is away; the job is then retried.

    signer: knows the key that signs proofs now. version: the version of the product, which the proof names.
    """

    def __init__(self, doors: Doors, destruction: Destruction, signer: Signer, version: str) -> None:
        self._doors = doors
        self._destruction = destruction
        self._signer = signer
        self._version = version
        self._steps: Mapping[PurgeStep, Callable[[Operation, PurgeProgress], _Result]] = {
            PurgeStep.COUNT: self._count,
            PurgeStep.ANNOUNCE: self._announce,
            PurgeStep.ACCOUNTS: self._accounts,
            PurgeStep.ROWS: self._rows,
            PurgeStep.JOBS: self._jobs,
            PurgeStep.STORE: self._store,
            PurgeStep.SCAN: self._scan,
            PurgeStep.TENANT: self._tenant,
            PurgeStep.SIGN: self._scan_again,
        }

    async def run(self, operation_id: uuid.UUID) -> Operation | None:
        """Carry the operation on to its end, and return it; None when it does not exist. An ended operation stays as it
        is."""
        operation = await self._read(operation_id)
        while operation is not None and not operation.done:
            step = PurgeProgress.of(operation).next_step
            operation = await self.take(operation, step or PurgeStep.SIGN)
        return operation

    async def cause(self, operation_id: uuid.UUID) -> TraceContext | None:
        """Return the trace of the call that asked for the operation."""
        operation = await self._read(operation_id)
        return None if operation is None else operation.cause

    async def take(self, operation: Operation, step: PurgeStep) -> Operation | None:
        """Take one step and store that it has ended. Return the operation after it."""
        try:
            progress = await self._steps[step](operation, PurgeProgress.of(operation))
        except FailedPrecondition as refusal:
            return await self._end(operation.id, Failure.of(refusal))
        except _Stopped:
            return await self._read(operation.id)
        after = progress.finished(step, datetime.now(UTC))
        if step is PurgeStep.SIGN:
            return await self._prove(operation, after)
        return await self._advance(operation.id, step, after)

    async def give_up(self, operation_id: uuid.UUID) -> Operation | None:
        """End an operation that fails again and again. The purge is taken up by another one later."""
        return await self._end(operation_id, FAILED_BY_US)

    async def _count(self, operation: Operation, progress: PurgeProgress) -> PurgeProgress:
        if progress.before is not None:
            return progress  # by an earlier operation, before anything was removed
        return replace(progress, before=await self._destruction.count(tenant_of_purge(operation)))

    async def _announce(self, operation: Operation, progress: PurgeProgress) -> PurgeProgress:
        tenant_id = tenant_of_purge(operation)
        async with self._doors.system(_REASON, read_only=True) as connection:
            if await repository.is_announced(connection, tenant_id):
                return progress
            if await repository.has_children(connection, tenant_id):
                raise children_left()
        async with self._doors.tenant(tenant_id) as connection:
            deletion = await repository.begin(connection, tenant_id)
        if deletion is None:
            raise not_deleted()
        await self._report(operation, replace(progress, deletion=deletion))
        async with self._doors.system(_REASON) as connection:
            await lock_log(connection)
            await repository.announce(connection, tenant_id)
        return replace(progress, deletion=deletion)

    async def _accounts(self, operation: Operation, progress: PurgeProgress) -> PurgeProgress:
        return await self._followed(operation, progress, self._destruction.accounts)

    async def _rows(self, operation: Operation, progress: PurgeProgress) -> PurgeProgress:
        return await self._followed(operation, progress, self._destruction.rows)

    async def _tenant(self, operation: Operation, progress: PurgeProgress) -> PurgeProgress:
        return await self._followed(operation, progress, self._destruction.tenant)

    async def _followed(
        self,
        operation: Operation,
        progress: PurgeProgress,
        work: Callable[[TenantId, Callable[[str, int], Awaitable[None]]], Awaitable[int]],
    ) -> PurgeProgress:
        """Do the work, and store now and then how far it is. Raises _Stopped when the operation was cancelled."""
        shown = time.monotonic()

        async def reached(table: str, rows: int) -> None:
            nonlocal shown
            if time.monotonic() - shown >= _REPORT_SECONDS:
                shown = time.monotonic()
                await self._report(operation, replace(progress, table=table, rows_done=progress.rows_done + rows))

        return replace(progress, rows_done=progress.rows_done + await work(tenant_of_purge(operation), reached))

    async def _jobs(self, operation: Operation, progress: PurgeProgress) -> PurgeProgress:
        await self._destruction.jobs(tenant_of_purge(operation))
        return progress

    async def _store(self, operation: Operation, progress: PurgeProgress) -> PurgeProgress:
        await self._destruction.store(tenant_of_purge(operation))
        return progress

    async def _scan(self, operation: Operation, progress: PurgeProgress) -> PurgeProgress:
        left = await self._destruction.left(tenant_of_purge(operation), besides_tenant=True)
        return replace(progress, after=_nothing(left))

    async def _scan_again(self, operation: Operation, progress: PurgeProgress) -> PurgeProgress:
        left = await self._destruction.left(tenant_of_purge(operation), besides_tenant=False)
        return replace(progress, after=_nothing(left))

    async def _prove(self, operation: Operation, progress: PurgeProgress) -> Operation | None:
        """Sign the proof, store it and end the operation, in one transaction. Batches forget the tenant in it too: no
        later one can name the tenant, whose row is gone."""
        now, (kid, key) = datetime.now(UTC), self._signer.signer()
        proof = written_proof(operation, progress, key_ids=(), version=self._version, now=now)
        purge = StoredPurge(
            tenant_of_purge(operation), operation.id, now, kid, proof.decode("utf-8"), sign(proof, kid, key)
        )
        async with self._doors.system(_REASON) as connection:
            current = await operations.get_locked(connection, None, operation.id)
            if current is None or current.done:
                return current
            await batches.forget_tenant(connection, purge.tenant_id)
            await repository.add_proof(connection, purge)
            stored = await repository.proof_of(connection, purge.tenant_id)
            result = {"tenant_id": str(purge.tenant_id), "signed_by": (stored or purge).kid}
            ended = replace(current, state=OperationState.SUCCEEDED, progress=progress.to_json(), result=result)
            return await operations.end(connection, ended)

    async def _read(self, operation_id: uuid.UUID) -> Operation | None:
        async with self._doors.system(_REASON, read_only=True) as connection:
            return await operations.get(connection, None, operation_id)

    async def _advance(self, operation_id: uuid.UUID, step: PurgeStep, after: PurgeProgress) -> Operation | None:
        """Store that the step has ended, unless another process has."""
        async with self._doors.system(_REASON) as connection:
            current = await operations.get_locked(connection, None, operation_id)
            if current is None or current.done or step.value in PurgeProgress.of(current).done:
                return current
            advanced = replace(current, state=_state(after), progress=after.to_json())
            await operations.advance(connection, advanced)
        return advanced

    async def _report(self, operation: Operation, progress: PurgeProgress) -> None:
        """Store how far the step under way is, unless another process has gone on."""
        async with self._doors.system(_REASON) as connection:
            current = await operations.get_locked(connection, None, operation.id)
            if current is None or current.done:
                raise _Stopped
            if PurgeProgress.of(current).next_step is progress.next_step:
                await operations.advance(connection, replace(current, progress=progress.to_json()))

    async def _end(self, operation_id: uuid.UUID, failure: Failure) -> Operation | None:
        async with self._doors.system(_REASON) as connection:
            current = await operations.get_locked(connection, None, operation_id)
            if current is None or current.done:
                return current
            return await operations.end(connection, replace(current, state=OperationState.FAILED, error=failure))


def _state(progress: PurgeProgress) -> OperationState:
    """Return the state: CHECKING until the tenant can't be brought back any more."""
    announced = PurgeStep.ANNOUNCE.value in progress.done
    return OperationState.APPLYING if announced else OperationState.CHECKING


def _nothing(left: Mapping[str, int | None]) -> dict[str, int]:
    """Return the numbers of what is left, all of them 0. Raises FailedPrecondition `TENANT_DATA_LEFT`."""
    if wrong := [name for name, rows in left.items() if rows != 0]:
        raise data_left(wrong)
    return {name: 0 for name in left if "." in name}  # tables: other things have no schema
