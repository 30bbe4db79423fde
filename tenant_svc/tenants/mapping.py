"""Conversions between the tenants of the domain and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from tenantmesh.chassis.event_log.watch import Change
from tenantmesh.chassis.moments import timestamp
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.servers.status import to_status
from tenantmesh.interceptors.tenants import TenantState
from tenantmesh.policy.v1.watch_pb2 import Checkpoint
from tenantmesh.tenant.v1 import tenant_pb2, tenant_service_pb2
from tenantmesh.tenant_svc.tenants.events import EventType, TenantEvent
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Suspension, Tenant
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["draft_message", "error_message", "event_message", "tenant_message"]

_STATES = {state: tenant_pb2.TenantState.Value(f"TENANT_STATE_{state.value}") for state in TenantState}
_TYPES = {kind: tenant_service_pb2.TenantEventType.Value(f"TENANT_EVENT_TYPE_{kind.value}") for kind in EventType}


def tenant_message(tenant: Tenant, viewer: Viewer) -> tenant_pb2.Tenant:
    """Return the tenant as the viewer sees it. Users see no reasons of operators."""
    return tenant_pb2.Tenant(
        id=str(tenant.id),
        slug=tenant.slug,
        display_name=tenant.display_name,
        plan_id=tenant.plan_id,
        plan_version=tenant.plan_version,
        state=_STATES[tenant.state],
        create_time=timestamp(tenant.create_time),
        update_time=timestamp(tenant.update_time),
        etag=tenant.etag,
        suspension=_suspension(tenant.suspension) if viewer.notes and tenant.suspension is not None else None,
    )


def _suspension(suspension: Suspension) -> tenant_pb2.Suspension:
    return tenant_pb2.Suspension(
        reason=suspension.reason, actor=suspension.actor, suspend_time=timestamp(suspension.time)
    )


def draft_message(new: NewTenant) -> tenant_pb2.Tenant:
    """Return the tenant that would be created, without its id, plan version, times and etag: only creating sets
    those."""
    return tenant_pb2.Tenant(
        slug=new.slug,
        display_name=new.display_name,
        plan_id=new.plan_id,
        state=tenant_pb2.TenantState.TENANT_STATE_ACTIVE,
    )


def event_message(change: Change[TenantEvent], viewer: Viewer) -> tenant_service_pb2.WatchTenantsResponse:
    """Return one message of a stream: an event, or a checkpoint."""
    event = change.event
    if event is None:
        checkpoint = Checkpoint(caught_up=change.caught_up)
        return tenant_service_pb2.WatchTenantsResponse(checkpoint=checkpoint, cursor=change.cursor)
    result = tenant_service_pb2.TenantEvent(type=_TYPES[event.type], tenant=tenant_message(event.tenant, viewer))
    return tenant_service_pb2.WatchTenantsResponse(result=result, cursor=change.cursor)


def error_message(error: MeshError, cursor: str) -> tenant_service_pb2.WatchTenantsResponse:
    """Return the last message of a stream that failed, with the cursor of the last good one."""
    return tenant_service_pb2.WatchTenantsResponse(error=to_status(error), cursor=cursor)
