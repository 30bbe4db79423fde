"""Conversions between the log of entitlements and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from tenantmesh.chassis.event_log.watch import Change
from tenantmesh.chassis.moments import timestamp
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.servers.status import to_status
from tenantmesh.policy.v1.watch_pb2 import Checkpoint
from tenantmesh.tenant.v1 import entitlement_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2 as pb
from tenantmesh.tenant_svc.history.event import ChangeType, EntitlementEvent
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["change_message", "error_message", "event_message"]

_CHANGES = {
    kind: entitlement_pb2.EntitlementChangeType.Value(f"ENTITLEMENT_CHANGE_TYPE_{kind.value}") for kind in ChangeType
}


def change_message(event: EntitlementEvent, viewer: Viewer) -> entitlement_pb2.EntitlementChange:
    """Return an entry of the history, for the viewer."""
    return entitlement_pb2.EntitlementChange(
        position=viewer.position(event.position),
        revision=0 if event.place is None else event.place.revision,
        type=_CHANGES[event.type],
        feature=event.feature,
        actor=viewer.note(event.actor),
        reason=viewer.note(event.reason),
        before=event.before,
        after=event.after,
        create_time=timestamp(event.create_time),
    )


def event_message(change: Change[EntitlementEvent], viewer: Viewer) -> pb.WatchEntitlementsResponse:
    """Return one message of a stream: an event, or a checkpoint."""
    event = change.event
    if event is None:
        checkpoint = Checkpoint(caught_up=change.caught_up)
        return pb.WatchEntitlementsResponse(checkpoint=checkpoint, cursor=change.cursor)
    result = pb.EntitlementEvent(
        tenant_id="" if event.tenant_id is None else str(event.tenant_id),
        change=change_message(event, viewer),
        plan_id=event.plan_id,
        plan_version=event.plan_version,
    )
    return pb.WatchEntitlementsResponse(result=result, cursor=change.cursor)


def error_message(error: MeshError, cursor: str) -> pb.WatchEntitlementsResponse:
    """Return the last message of a stream that failed, with the cursor of the last good one."""
    return pb.WatchEntitlementsResponse(error=to_status(error), cursor=cursor)
