"""What tenant_svc can do, put together from its parts: the use cases and the servicers in front of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from tenantmesh.chassis.background import Repeating
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.event_log.feed import Feed
from tenantmesh.chassis.settings import EventSettings
from tenantmesh.interceptors.quotas import QuotaPool
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.server.application import Registration
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import add_EntitlementServiceServicer_to_server
from tenantmesh.tenant.v1.operation_service_pb2_grpc import add_OperationServiceServicer_to_server
from tenantmesh.tenant.v1.plan_service_pb2_grpc import add_PlanServiceServicer_to_server
from tenantmesh.tenant.v1.quota_service_pb2_grpc import add_QuotaServiceServicer_to_server
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import add_TenantServiceServicer_to_server
from tenantmesh.tenant_svc.allocations.allocations import Allocations
from tenantmesh.tenant_svc.allowances.ledger import Ledger, PostgresLedger
from tenantmesh.tenant_svc.allowances.pool import PoolDrain, PoolReader
from tenantmesh.tenant_svc.allowances.servicer import QuotaServicer
from tenantmesh.tenant_svc.entitlements.entitlements import Entitlements
from tenantmesh.tenant_svc.entitlements.repository import ENTITLEMENTS_CHANNEL
from tenantmesh.tenant_svc.entitlements.servicer import EntitlementServicer
from tenantmesh.tenant_svc.entitlements.source import PostgresEntitlementSource
from tenantmesh.tenant_svc.features.features import Features
from tenantmesh.tenant_svc.gauges.gauges import Gauges
from tenantmesh.tenant_svc.grants.grants import Grants
from tenantmesh.tenant_svc.history.event import EntitlementEvent
from tenantmesh.tenant_svc.history.events import StoredEntitlementEvents
from tenantmesh.tenant_svc.history.history import History
from tenantmesh.tenant_svc.operations.endings import Endings
from tenantmesh.tenant_svc.operations.operations import Operations
from tenantmesh.tenant_svc.operations.repository import OPERATIONS_CHANNEL
from tenantmesh.tenant_svc.operations.servicer import OperationServicer
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.plan_changes.plan_changes import Migrations
from tenantmesh.tenant_svc.plans.plans import Plans
from tenantmesh.tenant_svc.plans.servicer import PlanServicer
from tenantmesh.tenant_svc.quota_retention.retention import Retention
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.settings import QuotaSettings
from tenantmesh.tenant_svc.tenants.events import StoredEvents, TenantEvent
from tenantmesh.tenant_svc.tenants.repository import EVENTS_CHANNEL
from tenantmesh.tenant_svc.tenants.servicer import TenantServicer
from tenantmesh.tenant_svc.tenants.source import PostgresTenantSource
from tenantmesh.tenant_svc.tenants.tenants import Tenants

__all__ = ["Capabilities"]

EXPIRY_INTERVAL = timedelta(seconds=1)
"""How often reservations are looked for that have expired. Who is short of units doesn't wait for it."""
RETENTION_INTERVAL = timedelta(minutes=10)
"""How often what is older than is promised is looked for."""


class Capabilities:
    """Each capability once. `pool` is where what is given out of allowances lies ready."""

    def __init__(self, database: Database, events: EventSettings, quotas: QuotaSettings, pool: QuotaPool) -> None:
        doors, pooled = Doors(database, OUTAGE), PoolReader(pool)
        stored = StoredEvents(doors)
        self.tenant_feed: Feed[TenantEvent] = Feed(stored, events, database, EVENTS_CHANNEL, prunable=stored)
        # The log of entitlements is their history as well: nothing of it is forgotten.
        self.entitlement_feed: Feed[EntitlementEvent] = Feed(
            StoredEntitlementEvents(doors), events, database, ENTITLEMENTS_CHANNEL
        )
        endings = Endings()
        self.endings_listener = database.listen(OPERATIONS_CHANNEL, endings.wake)
        tenants = Tenants(doors, uuid7)
        entitlements = Entitlements(doors, pooled)
        ledger = Ledger(doors)
        self.ledger = PostgresLedger(ledger)
        self.tenant_source = PostgresTenantSource(tenants, self.tenant_feed.watch)
        self.entitlement_source = PostgresEntitlementSource(entitlements, self.entitlement_feed.watch)
        allocations, gauges = Allocations(doors, ledger, uuid7, PoolDrain(pool, ledger)), Gauges(doors)
        self.sweepers = _sweepers(allocations, gauges, Retention(doors, quotas))
        tenant_servicer = TenantServicer(tenants, Migrations(doors, uuid7, pooled), self.tenant_feed.watch)
        self.registrations: Sequence[Registration] = [
            (add_TenantServiceServicer_to_server, tenant_servicer),
            (add_PlanServiceServicer_to_server, PlanServicer(Plans(doors), Features(doors))),
            (
                add_EntitlementServiceServicer_to_server,
                EntitlementServicer(
                    entitlements, Overrides(doors), Grants(doors, uuid7), History(doors), self.entitlement_feed.watch
                ),
            ),
            (add_QuotaServiceServicer_to_server, QuotaServicer(ledger, allocations, gauges)),
            (add_OperationServiceServicer_to_server, OperationServicer(Operations(doors, endings))),
        ]


def _sweepers(allocations: Allocations, gauges: Gauges, retention: Retention) -> list[Repeating]:
    return [
        Repeating("quota-expiry", allocations.expire, EXPIRY_INTERVAL),
        Repeating("gauge-keys", gauges.forget_keys, RETENTION_INTERVAL),
        Repeating("allocation-retention", retention.forget_allocations, RETENTION_INTERVAL),
        Repeating("period-retention", retention.forget_periods, RETENTION_INTERVAL),
    ]
