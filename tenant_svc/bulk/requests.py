"""The memory of batches: what a request with an id has done before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import AlreadyExists
from tenantmesh.interceptors.tenants import TenantId, no_such_tenant, parse_tenant_id
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.bulk import repository
from tenantmesh.tenant_svc.bulk.batch import Batch, ItemOutcome, restored, stored
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = ["BatchMemory"]


class BatchMemory:
    """Remembers batches for as long as they may be repeated."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def made_by(self, batch: Batch) -> list[ItemOutcome] | None:
        """Return what the batch has done before, with the tenants as they are now; None when it has done nothing.

        Raises AlreadyExists `REQUEST_ID_REUSED`.
        """
        if batch.key is None:
            return None
        async with self._doors.system("find the tenants of a repeated batch", read_only=True) as connection:
            made = await repository.made_by(connection, batch.key)
            if made is None:
                return None
            digest, outcomes = made
            if digest != batch.digest:
                raise AlreadyExists("REQUEST_ID_REUSED", "This request_id has done another batch. Send a new one.")
            ids = [_id(each) for each in outcomes if isinstance(each, str)]
            found = await repository.tenants_by_ids(connection, ids)
        return [_outcome(each, found) for each in outcomes]

    async def remember(self, connection: Connection, batch: Batch, outcomes: list[ItemOutcome]) -> None:
        """Store what the batch has done, in its transaction. Raises UniqueViolation when the same request at the same
        time has."""
        if batch.key is not None and batch.keep:
            await repository.remember(connection, batch.key, batch.digest, stored(outcomes))


def _outcome(made: Any, found: Mapping[TenantId, Tenant]) -> ItemOutcome:
    """Return what became of an item: None stands for a tenant that was purged since."""
    if isinstance(made, dict):
        return restored(made)
    return (found.get(_id(made)) if made is not None else None) or no_such_tenant()


def _id(text: Any) -> TenantId:
    tenant_id = parse_tenant_id(text)
    if tenant_id is None:
        raise LookupError("a batch remembers what is no tenant's id")
    return tenant_id
