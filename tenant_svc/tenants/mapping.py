"""Conversions between the tenants of the domain and the messages of the contract. No decisions are made here, except
what a viewer sees."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from tenantmesh.chassis.event_log.watch import Change
from tenantmesh.chassis.filters.totals import Total
from tenantmesh.chassis.moments import time_span, timestamp
from tenantmesh.chassis.requests import reason_problem, refuse
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.servers.status import to_status
from tenantmesh.interceptors.tenants import TenantState, parse_tenant_id
from tenantmesh.policy.v1.watch_pb2 import Checkpoint
from tenantmesh.tenant.v1 import domain_proof_pb2, tenant_pb2, tenant_service_pb2
from tenantmesh.tenant_svc.settings import LONGEST_GRACE
from tenantmesh.tenant_svc.tenants.content import Content, ContentKind
from tenantmesh.tenant_svc.tenants.deletions import DeletionRequest
from tenantmesh.tenant_svc.tenants.edits import TenantEdit
from tenantmesh.tenant_svc.tenants.events import EventType, TenantEvent
from tenantmesh.tenant_svc.tenants.name_change import NameChange
from tenantmesh.tenant_svc.tenants.profile import Contact, ContactType, Profile
from tenantmesh.tenant_svc.tenants.query import TenantQuery
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Suspension, Tenant
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = [
    "content_message",
    "deletion_of",
    "draft_message",
    "edit_of",
    "error_message",
    "event_message",
    "list_message",
    "new_tenant_of",
    "query_of",
    "tenant_message",
]

_STATES = {state: tenant_pb2.TenantState.Value(f"TENANT_STATE_{state.value}") for state in TenantState}
_CONTACT_TYPES = {kind: tenant_pb2.ContactType.Value(f"CONTACT_TYPE_{kind.value}") for kind in ContactType}
_TYPES_OF_CONTACTS = {
    tenant_pb2.ContactType.CONTACT_TYPE_UNSPECIFIED: ContactType.GENERAL,
    **{number: kind for kind, number in _CONTACT_TYPES.items()},
}
_CONTENTS = {
    kind: tenant_service_pb2.TenantContentKind.Value(f"TENANT_CONTENT_KIND_{kind.value}") for kind in ContentKind
}
_TYPES = {kind: tenant_service_pb2.TenantEventType.Value(f"TENANT_EVENT_TYPE_{kind.value}") for kind in EventType}


def tenant_message(tenant: Tenant, viewer: Viewer) -> tenant_pb2.Tenant:
    """Return the tenant as the viewer sees it. Users see no reasons of operators, and nothing that is theirs."""
    message = tenant_pb2.Tenant(
        id=str(tenant.id),
        slug=tenant.slug,
        display_name=tenant.display_name,
        plan_id=tenant.plan_id,
        plan_version=tenant.plan_version,
        state=_STATES[tenant.state],
        create_time=timestamp(tenant.create_time),
        update_time=timestamp(tenant.update_time),
        etag=tenant.etag,
        region=tenant.profile.region,
        time_zone=tenant.profile.time_zone,
        locale=tenant.profile.locale,
        currency=tenant.profile.currency,
        contacts=map(_contact, tenant.profile.contacts),
        login_hosts=tenant.login_hosts,
        primary_login_host=tenant.primary_login_host,
    )
    if viewer.notes:
        _add_notes(message, tenant, viewer)
    return message


def _add_notes(message: tenant_pb2.Tenant, tenant: Tenant, viewer: Viewer) -> None:
    """Add what operators keep of the tenant for themselves and for services."""
    _add_profile(message, tenant.profile)
    message.former_slugs.extend(
        tenant_pb2.FormerSlug(slug=former.slug, resolve_until_time=timestamp(former.until))
        for former in tenant.former_slugs
    )
    if tenant.suspension is not None:
        message.suspension.CopyFrom(_suspension(tenant.suspension))
    deletion = tenant.deletion
    if deletion is not None:
        message.delete_time.CopyFrom(timestamp(deletion.time))
        message.purge_time.CopyFrom(timestamp(deletion.purge_time))
        if viewer.deleted:
            message.deletion.CopyFrom(tenant_pb2.Deletion(reason=deletion.reason, actor=deletion.actor))


def _add_profile(message: tenant_pb2.Tenant, profile: Profile) -> None:
    message.labels.update(profile.labels)
    message.external_id = profile.external_id
    message.parent_id = "" if profile.parent_id is None else str(profile.parent_id)
    message.delete_protection = profile.delete_protection


def _contact(contact: Contact) -> tenant_pb2.Contact:
    return tenant_pb2.Contact(
        type=_CONTACT_TYPES[contact.type],
        display_name=contact.display_name,
        email=contact.email,
        phone=contact.phone,
    )


def _profile_of(message: tenant_pb2.Tenant | tenant_service_pb2.CreateTenantRequest, within: str = "") -> Profile:
    """Return the profile in a request. Raises InvalidArgument for a parent that is no UUID, and for a type of contact
    that there is not. `within` is the path of the message."""
    parent_id = parse_tenant_id(message.parent_id) if message.parent_id else None
    unknown = [place for place, contact in enumerate(message.contacts) if contact.type not in _TYPES_OF_CONTACTS]
    refuse(
        {
            f"{within}parent_id": "must be a tenant's UUID" if message.parent_id and parent_id is None else None,
            **{f"{within}contacts[{place}].type": "must be one of ContactType" for place in unknown},
        }
    )
    return Profile(
        labels=dict(message.labels),
        region=message.region,
        external_id=message.external_id,
        time_zone=message.time_zone,
        locale=message.locale,
        currency=message.currency,
        contacts=tuple(
            Contact(_TYPES_OF_CONTACTS[each.type], each.display_name, each.email, each.phone)
            for each in message.contacts
        ),
        parent_id=parent_id,
        delete_protection=message.delete_protection,
    )


def new_tenant_of(request: tenant_service_pb2.CreateTenantRequest) -> NewTenant:
    """Return the tenant that a request describes. Raises InvalidArgument that names every field at fault."""
    return NewTenant.checked(
        slug=request.slug,
        display_name=request.display_name,
        plan_id=request.plan_id,
        profile=_profile_of(request),
        first_administrator_email=request.first_administrator_email,
    )


def edit_of(request: tenant_service_pb2.UpdateTenantRequest, *, by_user: bool) -> TenantEdit:
    """Return the edit in a request. Raises InvalidArgument, PermissionDenied `FIELD_NOT_ALLOWED`."""
    tenant = request.tenant
    refuse({"tenant": None if request.HasField("tenant") else "is required: send the tenant"})
    return TenantEdit.checked(
        slug=tenant.slug,
        display_name=tenant.display_name,
        profile=_profile_of(tenant, "tenant."),
        mask=request.update_mask.paths,
        etag=tenant.etag,
        by_user=by_user,
    )


def deletion_of(request: tenant_service_pb2.DeleteTenantRequest, actor: str) -> DeletionRequest:
    """Return how to delete a tenant. Raises InvalidArgument."""
    grace = time_span(request.grace_period) if request.HasField("grace_period") else None
    wrong = grace is not None and not timedelta() <= grace <= LONGEST_GRACE
    refuse(
        {
            "grace_period": f"must be 0 to {LONGEST_GRACE.days} days" if wrong else None,
            "reason": reason_problem(request.reason),
        }
    )
    return DeletionRequest(
        reason=request.reason, actor=actor, etag=request.etag, grace=grace, release_slug=request.release_slug
    )


def _suspension(suspension: Suspension) -> tenant_pb2.Suspension:
    return tenant_pb2.Suspension(
        reason=suspension.reason, actor=suspension.actor, suspend_time=timestamp(suspension.time)
    )


def draft_message(new: NewTenant) -> tenant_pb2.Tenant:
    """Return the tenant that would be created, without its id, plan version, times and etag: only creating sets
    those."""
    message = tenant_pb2.Tenant(
        slug=new.slug,
        display_name=new.display_name,
        plan_id=new.plan_id,
        state=tenant_pb2.TenantState.TENANT_STATE_ACTIVE,
        region=new.profile.region,
        time_zone=new.profile.time_zone,
        locale=new.profile.locale,
        currency=new.profile.currency,
        contacts=map(_contact, new.profile.contacts),
    )
    _add_profile(message, new.profile)
    return message


def query_of(request: tenant_service_pb2.ListTenantsRequest, viewer: Viewer) -> TenantQuery:
    """Return the query of a list, as `TenantQuery.checked`."""
    return TenantQuery.checked(
        filter_text=request.filter, order_by=request.order_by, show_deleted=request.show_deleted, viewer=viewer
    )


def list_message(
    tenants: Iterable[tenant_pb2.Tenant], next_token: str, total: Total | None
) -> tenant_service_pb2.ListTenantsResponse:
    """Return a page, with the number of tenants on all pages if it was counted."""
    return tenant_service_pb2.ListTenantsResponse(
        tenants=tenants,
        next_page_token=next_token,
        total_size=0 if total is None else total.size,
        total_size_estimated=total is not None and total.estimated,
    )


def event_message(change: Change[TenantEvent], viewer: Viewer) -> tenant_service_pb2.WatchTenantsResponse:
    """Return one message of a stream: an event, or a checkpoint."""
    event = change.event
    if event is None:
        checkpoint = Checkpoint(caught_up=change.caught_up)
        return tenant_service_pb2.WatchTenantsResponse(checkpoint=checkpoint, cursor=change.cursor)
    result = tenant_service_pb2.TenantEvent(
        type=_TYPES[event.type],
        tenant=tenant_message(event.tenant, viewer),
        name_change=None if event.name_change is None else _name_change(event.name_change),
    )
    return tenant_service_pb2.WatchTenantsResponse(result=result, cursor=change.cursor)


def _name_change(change: NameChange) -> domain_proof_pb2.NameChange:
    proof = domain_proof_pb2.ProofChange(
        state=domain_proof_pb2.ProofState.Value(f"PROOF_STATE_{change.state}"),
        reason=domain_proof_pb2.ProofReason.Value(f"PROOF_REASON_{change.reason}"),
        change_time=timestamp(change.time),
    )
    lapse = None if change.lapse_time is None else timestamp(change.lapse_time)
    return domain_proof_pb2.NameChange(name=change.name, proof=proof, lapse_time=lapse)


def error_message(error: MeshError, cursor: str) -> tenant_service_pb2.WatchTenantsResponse:
    """Return the last message of a stream that failed, with the cursor of the last good one."""
    return tenant_service_pb2.WatchTenantsResponse(error=to_status(error), cursor=cursor)


def content_message(content: Content) -> tenant_service_pb2.TenantContent:
    """Return one kind of thing that a tenant consists of."""
    return tenant_service_pb2.TenantContent(kind=_CONTENTS[content.kind], name=content.name, count=content.count)
