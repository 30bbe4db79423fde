"""Conversions between purges and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from google.protobuf.message import Message

from tenantmesh.chassis.moments import timestamp
from tenantmesh.chassis.signing.signing_key import SigningKey
from tenantmesh.interceptors import base64url
from tenantmesh.interceptors.tokens import ALGORITHM
from tenantmesh.tenant.v1 import purge_pb2, purge_service_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant_svc.operations.mapping import OperationMessages, state_value
from tenantmesh.tenant_svc.operations.operation import Operation, operation_name
from tenantmesh.tenant_svc.purges.purge import PurgeProgress, PurgeStep, StoredPurge, tenant_of_purge
from tenantmesh.tenant_svc.tenants.mapping import content_message
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["PurgeMessages", "key_message", "purge_message"]

_STEPS = {step: pb.PurgeStep.Value(f"PURGE_STEP_{step.value}") for step in PurgeStep}


class PurgeMessages(OperationMessages):
    """See OperationMessages."""

    def metadata(self, operation: Operation, viewer: Viewer) -> Message:
        """See OperationMessages. Only operators see operations of the mesh."""
        del viewer
        progress = PurgeProgress.of(operation)
        step = None if operation.done else progress.next_step
        return pb.PurgeTenantMetadata(
            state=state_value(operation.state),
            progress_percent=100 if operation.done else progress.percent,
            tenant_id=str(tenant_of_purge(operation)),
            step=pb.PURGE_STEP_UNSPECIFIED if step is None else _STEPS[step],
            table=progress.table,
            rows_done=progress.rows_done,
            rows_total=0 if progress.before is None else progress.before.total_rows,
            contents=[content_message(content) for content in progress.contents],
            create_time=timestamp(operation.create_time),
            end_time=None if operation.end_time is None else timestamp(operation.end_time),
        )

    def response(self, operation: Operation) -> Message:
        """See OperationMessages: the purge, without the text of its proof, which GetPurge returns."""
        signed_by = str((operation.result or {})["signed_by"])
        return purge_pb2.Purge(
            tenant_id=str(tenant_of_purge(operation)),
            operation=operation.name,
            purge_time=None if operation.end_time is None else timestamp(operation.end_time),
            key_id=signed_by,
        )


def purge_message(purge: StoredPurge) -> purge_pb2.Purge:
    """Return the account of a purge with its proof."""
    return purge_pb2.Purge(
        tenant_id=str(purge.tenant_id),
        operation=operation_name(None, purge.operation_id),
        purge_time=timestamp(purge.purge_time),
        key_id=purge.kid,
        proof=purge.proof,
        signature=purge.signature,
    )


def key_message(key: SigningKey) -> purge_service_pb2.PurgeKey:
    """Return the public part of a key (RFC 8037)."""
    return purge_service_pb2.PurgeKey(
        kty="OKP", crv="Ed25519", x=base64url.encode(key.public), kid=key.kid, alg=ALGORITHM, use="sig"
    )
