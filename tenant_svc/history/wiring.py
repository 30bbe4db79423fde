"""The wiring of the history of entitlements: its event log, which is never pruned, and the methods that read it."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.chassis.event_log.feed import Feed
from tenantmesh.chassis.event_log.watch import Watch
from tenantmesh.tenant.v1 import entitlement_service_pb2
from tenantmesh.tenant_svc.catalog_log.repository import ENTITLEMENTS_CHANNEL
from tenantmesh.tenant_svc.history import tables
from tenantmesh.tenant_svc.history.event import EntitlementEvent
from tenantmesh.tenant_svc.history.events import StoredEntitlementEvents
from tenantmesh.tenant_svc.history.history import History, record_deleted, record_first_plan, record_undeleted
from tenantmesh.tenant_svc.history.servicer import HistoryServicer
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["PART", "build"]

_SERVICE = entitlement_service_pb2.DESCRIPTOR.services_by_name["EntitlementService"]
PART = TenantPart(
    tables=(tables.entitlement_events,),
    exported=(tables.entitlement_events,),
    created=record_first_plan,
    deleted=record_deleted,
    undeleted=record_undeleted,
)


@dataclass(frozen=True, kw_only=True)
class HistoryCapability(Capability):
    """`watch` follows changes of entitlements."""

    watch: Watch[EntitlementEvent]


def build(resources: TenantResources) -> HistoryCapability:
    """Build the capability."""
    feed: Feed[EntitlementEvent] = Feed(
        StoredEntitlementEvents(resources.doors), resources.events, resources.database, ENTITLEMENTS_CHANNEL
    )
    return HistoryCapability(
        name="history",
        servicers={_SERVICE: HistoryServicer(History(resources.doors), feed.watch)},
        checks=[feed.check],
        background=[feed],
        part=PART,
        watch=feed.watch,
    )
