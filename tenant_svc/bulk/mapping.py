"""Conversions between batches, imports and the messages of the contract. No decisions are made here, except what of a
tenant fits into an answer."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

from google.protobuf.message import Message

from tenantmesh.chassis.moments import timestamp
from tenantmesh.chassis.pages import PAGE_BYTES
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.servers.status import to_status
from tenantmesh.tenant.v1 import tenant_bulk_service_pb2 as pb
from tenantmesh.tenant.v1.tenant_pb2 import Tenant as TenantMessage
from tenantmesh.tenant_svc.bulk.batch import ItemOutcome
from tenantmesh.tenant_svc.bulk.imports import ImportProgress, ImportRequest
from tenantmesh.tenant_svc.operations.mapping import OperationMessages, state_value
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.tenants.mapping import draft_message, tenant_message
from tenantmesh.tenant_svc.tenants.tenant import NewTenant
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["BatchMessage", "ImportMessages", "digest_of", "import_of", "results_of"]

_UPDATES = {pb.ON_EXISTING_UNSPECIFIED: True, pb.ON_EXISTING_UPDATE: True, pb.ON_EXISTING_REPORT: False}
BatchMessage = TypeVar(
    "BatchMessage",
    pb.BatchCreateTenantsRequest,
    pb.BatchUpdateTenantsRequest,
    pb.BatchSuspendTenantsRequest,
    pb.BatchDeleteTenantsRequest,
)


def digest_of(request: BatchMessage) -> bytes:
    """Return the digest of a batch without its id. It tells a repeated request from a different one with the same
    id."""
    fields = type(request)()
    fields.CopyFrom(request)
    fields.request_id = ""
    return sha256(request.DESCRIPTOR.name.encode() + fields.SerializeToString(deterministic=True)).digest()


def results_of(outcomes: Sequence[ItemOutcome], viewer: Viewer) -> tuple[list[pb.TenantResult], bool]:
    """Return what became of the items, and whether the tenants had to be abridged to fit into the answer."""
    results = [_result(outcome, viewer) for outcome in outcomes]
    if sum(result.ByteSize() for result in results) <= PAGE_BYTES:
        return results, False
    for result in results:
        if result.HasField("tenant"):
            result.tenant.CopyFrom(_abridged(result.tenant))
    return results, True


def _result(outcome: ItemOutcome, viewer: Viewer) -> pb.TenantResult:
    if isinstance(outcome, MeshError):
        return pb.TenantResult(error=to_status(outcome))
    if isinstance(outcome, NewTenant):
        return pb.TenantResult(tenant=draft_message(outcome))
    return pb.TenantResult(tenant=tenant_message(outcome, viewer))


def _abridged(tenant: TenantMessage) -> TenantMessage:
    return TenantMessage(id=tenant.id, slug=tenant.slug, state=tenant.state, etag=tenant.etag)


def import_of(request: pb.ImportTenantsRequest) -> ImportRequest:
    """Return the import that a request asks for. Raises InvalidArgument."""
    return ImportRequest.checked(
        lines=request.lines,
        first_line=request.first_line,
        updates=_UPDATES.get(request.on_existing),
        dry_run=request.validate_only,
    )


class ImportMessages(OperationMessages):
    """See OperationMessages."""

    def metadata(self, operation: Operation, viewer: Viewer) -> Message:
        """See OperationMessages."""
        progress = ImportProgress.from_json(operation.progress)
        return pb.ImportTenantsMetadata(
            state=state_value(operation.state),
            progress_percent=progress.percent,
            lines=progress.lines,
            counts=_counts(progress),
            validate_only=operation.request["dry_run"],
            create_time=timestamp(operation.create_time),
            end_time=None if operation.end_time is None else timestamp(operation.end_time),
            cancelled_by=viewer.note(operation.cancelled_by),
        )

    def response(self, operation: Operation) -> Message:
        """See OperationMessages."""
        progress = ImportProgress.from_json(operation.progress)
        rejected = [pb.RejectedLine(line=each.number, reason=each.reason) for each in progress.rejected]
        return pb.ImportTenantsResponse(counts=_counts(progress), rejected_lines=rejected)


def _counts(progress: ImportProgress) -> pb.ImportCounts:
    return pb.ImportCounts(
        created=progress.created,
        updated=progress.updated,
        unchanged=progress.unchanged,
        rejected=progress.rejections,
    )
