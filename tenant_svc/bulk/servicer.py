"""TenantBulkService over gRPC: message in, use case, message out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from google.longrunning.operations_pb2 import Operation as OperationMessage

from tenantmesh.chassis.requests import RequestKey, refuse
from tenantmesh.interceptors import current_call
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument, MeshError
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, parse_tenant_id
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant.v1 import tenant_bulk_service_pb2 as pb
from tenantmesh.tenant.v1 import tenant_service_pb2 as single
from tenantmesh.tenant_svc.bulk.batch import MOST_ITEMS, Batch, ItemOutcome
from tenantmesh.tenant_svc.bulk.changes import ChangeItem, OneChange, TenantChanges
from tenantmesh.tenant_svc.bulk.creations import TenantCreations
from tenantmesh.tenant_svc.bulk.imports import TenantImports
from tenantmesh.tenant_svc.bulk.mapping import BatchMessage, ImportMessages, digest_of, import_of, results_of
from tenantmesh.tenant_svc.operations.mapping import operation_message
from tenantmesh.tenant_svc.tenants.deletions import TenantDeletions
from tenantmesh.tenant_svc.tenants.mapping import deletion_of, edit_of, new_tenant_of
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Tenant, checked_reason
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tenantmesh.tenant_svc.tenants.updates import TenantUpdates
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["TenantBulkServicer"]

_Context = Any  # handlers take what the call needs from current_call()
_Item = TypeVar("_Item")
_Made = TypeVar("_Made")
_BATCHES_OWN = "must be empty: the batch has its own"


class TenantBulkServicer:
    """The methods of TenantBulkService. The chain has established the caller before any of these runs. `forget` is that
    of TenantServicer."""

    def __init__(
        self,
        creations: TenantCreations,
        changes: TenantChanges,
        imports: TenantImports,
        *,
        tenants: Tenants,
        updates: TenantUpdates,
        deletions: TenantDeletions,
        forget: Callable[[TenantRecord], None],
    ) -> None:
        self._creations = creations
        self._changes = changes
        self._imports = imports
        self._tenants = tenants
        self._updates = updates
        self._deletions = deletions
        self._forget = forget

    async def BatchCreateTenants(
        self, request: pb.BatchCreateTenantsRequest, _context: _Context
    ) -> pb.BatchCreateTenantsResponse:
        """Create several tenants."""
        batch = _batch(request)
        outcomes = await self._creations.create([_tried(_new_tenant, item) for item in request.requests], batch)
        results, abridged = self._results(outcomes)
        return pb.BatchCreateTenantsResponse(results=results, abridged=abridged)

    async def BatchUpdateTenants(
        self, request: pb.BatchUpdateTenantsRequest, _context: _Context
    ) -> pb.BatchUpdateTenantsResponse:
        """Change several tenants."""
        batch = replace(_batch(request), within="tenant.")
        outcomes = await self._changes.change(_items(request.requests, self._update), batch)
        results, abridged = self._results(outcomes)
        return pb.BatchUpdateTenantsResponse(results=results, abridged=abridged)

    async def BatchSuspendTenants(
        self, request: pb.BatchSuspendTenantsRequest, _context: _Context
    ) -> pb.BatchSuspendTenantsResponse:
        """Stop serving several tenants."""
        batch = _batch(request)
        outcomes = await self._changes.change(_items(request.requests, self._suspend), batch)
        results, abridged = self._results(outcomes)
        return pb.BatchSuspendTenantsResponse(results=results, abridged=abridged)

    async def BatchDeleteTenants(
        self, request: pb.BatchDeleteTenantsRequest, _context: _Context
    ) -> pb.BatchDeleteTenantsResponse:
        """Delete several tenants."""
        batch = _batch(request)
        outcomes = await self._changes.change(_items(request.requests, self._delete), batch, deletes=True)
        results, abridged = self._results(outcomes)
        return pb.BatchDeleteTenantsResponse(results=results, abridged=abridged)

    async def ImportTenants(self, request: pb.ImportTenantsRequest, _context: _Context) -> OperationMessage:
        """Start to import lines of tenants."""
        caller = current_call().caller
        key = RequestKey.checked(caller, request.request_id)
        operation = await self._imports.start(import_of(request), key, caller.credential_id)
        return operation_message(operation, ImportMessages(), _viewer())

    def _results(self, outcomes: Sequence[ItemOutcome]) -> tuple[list[pb.TenantResult], bool]:
        """Return the results of tenants that were changed here, as the caller sees them."""
        for outcome in outcomes:
            if isinstance(outcome, Tenant):
                self._forget(outcome.record)
        return results_of(outcomes, _viewer())

    def _update(self, item: single.UpdateTenantRequest) -> OneChange:
        refuse({"validate_only": _BATCHES_OWN if item.validate_only else None})
        edit, named = edit_of(item, by_user=False), item.tenant.id

        async def change(connection: Connection, tenant_id: TenantId) -> Tenant:
            if named and parse_tenant_id(named) != tenant_id:
                raise InvalidArgument.fields([FieldViolation("tenant.id", "must be that of the tenant in `id`")])
            return await self._updates.update_in(connection, tenant_id, edit)

        return change

    def _suspend(self, item: single.SuspendTenantRequest) -> OneChange:
        reason, actor = checked_reason(item.reason), current_call().caller.credential_id

        async def change(connection: Connection, tenant_id: TenantId) -> Tenant:
            return await self._tenants.suspend_in(connection, tenant_id, reason, item.etag, actor)

        return change

    def _delete(self, item: single.DeleteTenantRequest) -> OneChange:
        refuse({"validate_only": _BATCHES_OWN if item.validate_only else None})
        deletion = deletion_of(item, current_call().caller.credential_id)

        async def change(connection: Connection, tenant_id: TenantId) -> Tenant:
            return await self._deletions.delete_in(connection, tenant_id, deletion)

        return change


def _batch(request: BatchMessage) -> Batch:
    """Return how to do the batch. Raises InvalidArgument."""
    count = len(request.requests)
    refuse({"requests": None if 0 < count <= MOST_ITEMS else f"must be 1 to {MOST_ITEMS} items"})
    caller = current_call().caller
    return Batch(
        actor=caller.credential_id,
        key=RequestKey.checked(caller, request.request_id),
        digest=digest_of(request),
        partial=request.return_partial_success,
        keep=not request.validate_only,
    )


def _new_tenant(item: single.CreateTenantRequest) -> NewTenant:
    refuse(
        {
            "request_id": _BATCHES_OWN if item.request_id else None,
            "validate_only": _BATCHES_OWN if item.validate_only else None,
        }
    )
    return new_tenant_of(item)


def _items(items: Sequence[Any], change_of: Callable[[Any], OneChange]) -> list[ChangeItem]:
    return [ChangeItem(item.id, _tried(change_of, item)) for item in items]


def _tried(make: Callable[[_Item], _Made], item: _Item) -> _Made | MeshError:
    """Return what the item asks for, or what is wrong with it."""
    try:
        return make(item)
    except InvalidArgument as wrong:
        return wrong


def _viewer() -> Viewer:
    return Viewer.of(current_call().caller)
