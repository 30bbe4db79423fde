"""The use cases of purges: start one, see what one would destroy, read the proofs. They open the doors. A job carries a
purge out (`executor.py`)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.enqueue import enqueue
from tenantmesh.chassis.pages import Page, page_size, uuid_tokens
from tenantmesh.chassis.requests import RequestKey, stale
from tenantmesh.chassis.signing.key_rows import SigningKeyRows
from tenantmesh.chassis.signing.signing_key import KeySchedule, SigningKey
from tenantmesh.interceptors import trace_context
from tenantmesh.interceptors.errors import AlreadyExists
from tenantmesh.interceptors.tenants import TenantId, TenantState, no_such_tenant
from tenantmesh.runtime.database import UniqueViolation
from tenantmesh.tenant_svc.operations import repository as operations
from tenantmesh.tenant_svc.operations.operation import Operation, OperationState, operation_name
from tenantmesh.tenant_svc.purges import repository
from tenantmesh.tenant_svc.purges.amounts import TenantAmounts
from tenantmesh.tenant_svc.purges.purge import PURGE, PurgeProgress, StoredPurge, Wanted, subject_of
from tenantmesh.tenant_svc.purges.refusals import children_left, not_deleted, purge_not_found, purge_under_way
from tenantmesh.tenant_svc.purges.tables import purge_keys
from tenantmesh.tenant_svc.tenants import repository as tenants

__all__ = ["RUN_PURGE_JOB", "PurgeRequest", "Purges"]

RUN_PURGE_JOB = "run_purge"
"""The kind of job that carries a purge out. Its subject is the operation."""
_REASON = "a purge is an operation of the mesh"
_TOKENS = uuid_tokens(b"tm.purge", uuid.UUID(int=2**128 - 1))
_KEYS = SigningKeyRows(purge_keys)
_STUCK = timedelta(minutes=5)
_SWEPT = 100


@dataclass(frozen=True, slots=True)
class PurgeRequest:
    """A request to purge a tenant. `key` makes it repeatable; `etag`, if set, must be the tenant's."""

    actor: str
    wanted: Wanted
    key: RequestKey | None = None
    etag: str = ""


class Purges:
    """The use cases. All raise Unavailable when the database can't be reached. `new_id` makes time-ordered UUIDs."""

    def __init__(self, doors: Doors, new_id: Callable[[], uuid.UUID], amounts: TenantAmounts) -> None:
        self._doors = doors
        self._new_id = new_id
        self._amounts = amounts

    async def start(self, tenant_id: TenantId, request: PurgeRequest) -> Operation:
        """Start the purge, with the job that carries it out. A repeated request gets the operation of the first time.

        Raises NotFound, FailedPrecondition (`TENANT_NOT_DELETED`, `TENANT_HAS_CHILDREN`, `PURGE_UNDER_WAY`),
        AlreadyExists `REQUEST_ID_REUSED`, Aborted `ETAG_MISMATCH`.
        """
        made = await self._made_by(tenant_id, request)
        if made is not None:
            return made
        await self._check(tenant_id, request.etag)
        try:
            return await self.begin(tenant_id, request)
        except UniqueViolation as violation:
            made = await self._made_by(tenant_id, request)
            if made is None:
                raise await self._under_way(tenant_id) from violation
            return made

    async def validate(self, tenant_id: TenantId, request: PurgeRequest) -> Operation:
        """Count what `start` would destroy, and destroy nothing. Raises as `start`."""
        await self._check(tenant_id, request.etag)
        draft = await self._draft(tenant_id, request)
        progress = replace(PurgeProgress(), before=await self._amounts.count(tenant_id))
        return replace(draft, state=OperationState.VALIDATED, progress=progress.to_json(), end_time=draft.create_time)

    async def begin(self, tenant_id: TenantId, request: PurgeRequest) -> Operation:
        """Store the operation and its job. It goes on from the numbers of an earlier one that has failed. Raises
        UniqueViolation when one is under way."""
        draft = await self._draft(tenant_id, request)
        async with self._doors.system(_REASON) as connection:
            earlier = await repository.progress_before(connection, tenant_id)
            operation = replace(draft, progress=_continued(earlier).to_json(), cause=trace_context())
            await operations.create(connection, operation, request.key, _digest(tenant_id))
            await enqueue(connection, RUN_PURGE_JOB, operation.name, operation.effective_time)
        return operation

    async def begin_if_due(self, tenant_id: TenantId) -> Operation | None:
        """Start the purge of a tenant whose grace period is over; return None, and do nothing, for any other."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            if not await repository.is_due(connection, tenant_id):
                return None
        if await self._has_children(tenant_id):
            return None  # the sweep finds it once they are gone
        return await self._begin_once(tenant_id)

    async def sweep(self, pause: timedelta) -> int:
        """Start purges that no job has started, or that have failed, or were cancelled, the `pause` ago. Return how
        many."""
        async with self._doors.system(_REASON, read_only=True) as connection:
            found = await repository.overdue(connection, _STUCK, pause, _SWEPT)
        begun = [await self._begin_once(tenant_id) for tenant_id in found]
        return len([operation for operation in begun if operation is not None])

    async def get(self, tenant_id: TenantId) -> StoredPurge:
        """Return the proof that the tenant was purged. Raises NotFound `PURGE_NOT_FOUND`."""
        async with self._doors.system(_REASON, read_only=True) as connection:
            purge = await repository.proof_of(connection, tenant_id)
        if purge is None:
            raise purge_not_found()
        return purge

    async def page(self, size: int, token: str) -> Page[StoredPurge]:
        """Return a page of proofs, newest tenants first. Raises InvalidArgument for another list's token."""
        size, before = page_size(size), _TOKENS.open(token)
        async with self._doors.system(_REASON, read_only=True) as connection:
            found = await repository.page(connection, before, size + 1)
        return _TOKENS.page(found, size, lambda purge: purge.tenant_id)

    async def keys(self) -> list[SigningKey]:
        """Return every key that has signed proofs, or will, oldest first."""
        async with self._doors.system(_REASON, read_only=True) as connection:
            stored = await _KEYS.all_keys(connection)
            now = await operations.now(connection)
        return KeySchedule().published(stored, now)

    async def _begin_once(self, tenant_id: TenantId) -> Operation | None:
        try:
            return await self.begin(tenant_id, PurgeRequest("", Wanted.GRACE_PERIOD_ENDED))
        except UniqueViolation:
            return None

    async def _draft(self, tenant_id: TenantId, request: PurgeRequest) -> Operation:
        async with self._doors.system(_REASON, read_only=True) as connection:
            now = await operations.now(connection)
        return Operation(
            tenant_id=None,
            id=self._new_id(),
            type=PURGE,
            state=OperationState.SCHEDULED,
            request={"tenant_id": str(tenant_id), "wanted": request.wanted.value},
            progress=PurgeProgress().to_json(),
            actor=request.actor,
            effective_time=now,
            create_time=now,
            subject=subject_of(tenant_id),
        )

    async def _check(self, tenant_id: TenantId, etag: str) -> None:
        """Raise NotFound, Aborted `ETAG_MISMATCH`, FailedPrecondition (`TENANT_NOT_DELETED`, `TENANT_HAS_CHILDREN`)."""
        async with self._doors.tenant(tenant_id) as connection:
            found = await tenants.get_locked_deleted(connection, tenant_id)
        if found is None:
            raise no_such_tenant()
        if etag and etag != found[0].etag:
            raise stale("tenant")
        if found[0].state is not TenantState.DELETED:
            raise not_deleted()
        if await self._has_children(tenant_id):
            raise children_left()

    async def _has_children(self, tenant_id: TenantId) -> bool:
        async with self._doors.system(_REASON, on_behalf_of=tenant_id, read_only=True) as connection:
            return await repository.has_children(connection, tenant_id)

    async def _made_by(self, tenant_id: TenantId, request: PurgeRequest) -> Operation | None:
        if request.key is None:
            return None
        async with self._doors.system(_REASON, read_only=True) as connection:
            made = await operations.made_by(connection, None, request.key)
        if made is None:
            return None
        digest, operation = made
        if digest != _digest(tenant_id):
            raise AlreadyExists("REQUEST_ID_REUSED", "This request_id has started another operation. Send a new one.")
        return operation

    async def _under_way(self, tenant_id: TenantId) -> Exception:
        async with self._doors.system(_REASON, read_only=True) as connection:
            found = await operations.id_under_way(connection, None, PURGE, subject_of(tenant_id))
        return purge_under_way("" if found is None else operation_name(None, found))


def _continued(earlier: PurgeProgress) -> PurgeProgress:
    """Return the progress of a purge that takes up another one: it knows what there was before anything was removed."""
    return PurgeProgress(before=earlier.before, deletion=earlier.deletion)


def _digest(tenant_id: TenantId) -> str:
    """Return the digest of a request's fields."""
    return f"{PURGE} {tenant_id}"
