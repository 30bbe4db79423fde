"""The wiring of tenants: their methods, their event log, and the source of tenant_svc's own chain."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.chassis.event_log.feed import Feed
from tenantmesh.interceptors import TenantDirectory
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant.v1 import tenant_service_pb2
from tenantmesh.tenant_svc.resources import TenantResources
from tenantmesh.tenant_svc.tenants import tables
from tenantmesh.tenant_svc.tenants.content import Contents
from tenantmesh.tenant_svc.tenants.deletions import TenantDeletions
from tenantmesh.tenant_svc.tenants.events import StoredTenantEvents
from tenantmesh.tenant_svc.tenants.invitations import Invitations
from tenantmesh.tenant_svc.tenants.jobs import FormerSlugJobs
from tenantmesh.tenant_svc.tenants.repository import EVENTS_CHANNEL
from tenantmesh.tenant_svc.tenants.servicer import TenantServicer
from tenantmesh.tenant_svc.tenants.source import PostgresTenantSource
from tenantmesh.tenant_svc.tenants.tenant_lists import TenantLists
from tenantmesh.tenant_svc.tenants.tenants import CreationStep, Tenants, TenantStep
from tenantmesh.tenant_svc.tenants.updates import FORMER_SLUG_JOB, TenantUpdates

__all__ = ["PART", "TenantSteps", "TenantsCapability", "build"]

_SERVICE = tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"]
PART = TenantPart(
    tables=(tables.tenants, tables.tenant_slugs, tables.tenant_events, tables.tenant_requests),
    exported=(tables.tenants, tables.tenant_slugs),
    not_exported={
        "tenant_events": "positions in the log of this mesh mean nothing in another",
        "tenant_requests": "a request id matters only to the caller that may repeat it here",
    },
)


@dataclass(frozen=True, kw_only=True)
class TenantsCapability(Capability):
    """`directory` finds tenants for the service's own chain, which starts it. The others are the use cases of one
    tenant."""

    directory: TenantDirectory
    tenants: Tenants
    updates: TenantUpdates
    deletions: TenantDeletions


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSteps:
    """The steps that run in the transaction that creates, deletes or restores a tenant. `invitations` is one of the
    creation."""

    created: CreationStep
    deleted: TenantStep
    undeleted: TenantStep
    invitations: Invitations


def build(resources: TenantResources, steps: TenantSteps, contents: Contents) -> TenantsCapability:
    """Build the capability. `contents` counts what a tenant consists of, over all parts."""
    stored = StoredTenantEvents(resources.doors)
    feed = Feed(stored, resources.events, resources.database, EVENTS_CHANNEL, prunable=stored)
    tenants = Tenants(resources.doors, uuid7, steps.created, resources.tenants, steps.invitations)
    updates = TenantUpdates(resources.doors, resources.tenants)
    deletions = TenantDeletions(resources.doors, resources.tenants, steps.deleted, steps.undeleted)
    directory = TenantDirectory(PostgresTenantSource(tenants, feed.watch))
    lists = TenantLists(resources.doors)
    servicer = TenantServicer(tenants, lists, updates, deletions, contents, feed.watch, directory.forget)
    return TenantsCapability(
        name="tenants",
        servicers={_SERVICE: servicer},
        checks=[feed.check],
        background=[feed],
        jobs={FORMER_SLUG_JOB: FormerSlugJobs(updates)},
        part=PART,
        directory=directory,
        tenants=tenants,
        updates=updates,
        deletions=deletions,
    )
