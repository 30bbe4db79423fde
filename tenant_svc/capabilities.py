"""The capabilities of tenant_svc, put together: the use cases and the servicers in front of them."""

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
from tenantmesh.tenant.v1 import (
    entitlement_service_pb2,
    operation_service_pb2,
    plan_service_pb2,
    quota_service_pb2,
    tenant_service_pb2,
)
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import add_EntitlementServiceServicer_to_server
from tenantmesh.tenant.v1.operation_service_pb2_grpc import add_OperationServiceServicer_to_server
from tenantmesh.tenant.v1.plan_service_pb2_grpc import add_PlanServiceServicer_to_server
from tenantmesh.tenant.v1.quota_service_pb2_grpc import add_QuotaServiceServicer_to_server
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import add_TenantServiceServicer_to_server
from tenantmesh.tenant_svc.allocations.allocations import Allocations
from tenantmesh.tenant_svc.allocations.expiry import StoredReservations
from tenantmesh.tenant_svc.allocations.servicer import AllocationServicer
from tenantmesh.tenant_svc.allowances.ledger import Ledger, PostgresLedger
from tenantmesh.tenant_svc.allowances.pool import PoolDrain, PoolReader
from tenantmesh.tenant_svc.allowances.servicer import AllowanceServicer
from tenantmesh.tenant_svc.catalog_log.repository import ENTITLEMENTS_CHANNEL
from tenantmesh.tenant_svc.checks.checks import Checks
from tenantmesh.tenant_svc.checks.servicer import CheckServicer
from tenantmesh.tenant_svc.entitlements.entitlements import Entitlements
from tenantmesh.tenant_svc.entitlements.servicer import EntitlementServicer
from tenantmesh.tenant_svc.entitlements.source import PostgresEntitlementSource
from tenantmesh.tenant_svc.features.features import Features
from tenantmesh.tenant_svc.features.servicer import FeatureServicer
from tenantmesh.tenant_svc.gauges.gauges import Gauges
from tenantmesh.tenant_svc.gauges.servicer import GaugeServicer
from tenantmesh.tenant_svc.grants.grants import Grants
from tenantmesh.tenant_svc.grants.servicer import GrantServicer
from tenantmesh.tenant_svc.history.event import EntitlementEvent
from tenantmesh.tenant_svc.history.events import StoredEntitlementEvents
from tenantmesh.tenant_svc.history.history import History, record_first_plan
from tenantmesh.tenant_svc.history.servicer import HistoryServicer
from tenantmesh.tenant_svc.operations.endings import Endings
from tenantmesh.tenant_svc.operations.operations import Operations
from tenantmesh.tenant_svc.operations.repository import OPERATIONS_CHANNEL
from tenantmesh.tenant_svc.operations.servicer import OperationServicer
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.overrides.servicer import OverrideServicer
from tenantmesh.tenant_svc.plan_changes.mapping import PlanChangeMessages
from tenantmesh.tenant_svc.plan_changes.plan_change import PLAN_CHANGE
from tenantmesh.tenant_svc.plan_changes.plan_changes import PlanChanges
from tenantmesh.tenant_svc.plan_changes.servicer import PlanChangeServicer
from tenantmesh.tenant_svc.plans.plans import Plans
from tenantmesh.tenant_svc.plans.repository import plan_ids
from tenantmesh.tenant_svc.plans.servicer import PlanServicer
from tenantmesh.tenant_svc.quota_retention.retention import Retention
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.servicers import JoinedServicer
from tenantmesh.tenant_svc.settings import QuotaSettings
from tenantmesh.tenant_svc.tenants.events import StoredTenantEvents, TenantEvent
from tenantmesh.tenant_svc.tenants.repository import EVENTS_CHANNEL
from tenantmesh.tenant_svc.tenants.servicer import TenantServicer
from tenantmesh.tenant_svc.tenants.source import PostgresTenantSource
from tenantmesh.tenant_svc.tenants.tenants import Tenants

__all__ = ["Capabilities"]

EXPIRY_INTERVAL = timedelta(seconds=1)
"""How often expired reservations are looked for. A request that is short of units releases them without waiting."""
RETENTION_INTERVAL = timedelta(minutes=10)
"""How often rows older than the retention are looked for."""

_TENANTS = tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"]
_PLANS = plan_service_pb2.DESCRIPTOR.services_by_name["PlanService"]
_ENTITLEMENTS = entitlement_service_pb2.DESCRIPTOR.services_by_name["EntitlementService"]
_QUOTAS = quota_service_pb2.DESCRIPTOR.services_by_name["QuotaService"]
_OPERATIONS = operation_service_pb2.DESCRIPTOR.services_by_name["OperationService"]


class Capabilities:
    """Each capability once. `pool` holds units that the ledger has given and that any process may take."""

    def __init__(self, database: Database, events: EventSettings, quotas: QuotaSettings, pool: QuotaPool) -> None:
        self._doors = doors = Doors(database, OUTAGE)
        self._pooled = PoolReader(pool)
        stored = StoredTenantEvents(doors)
        self.tenant_feed: Feed[TenantEvent] = Feed(stored, events, database, EVENTS_CHANNEL, prunable=stored)
        # Not prunable: the log of entitlements is their history too.
        self.entitlement_feed: Feed[EntitlementEvent] = Feed(
            StoredEntitlementEvents(doors), events, database, ENTITLEMENTS_CHANNEL
        )
        self._endings = Endings()
        self.endings_listener = database.listen(OPERATIONS_CHANNEL, self._endings.wake)
        self._tenants = Tenants(doors, uuid7, record_first_plan)
        self._entitlements = Entitlements(doors, self._pooled)
        self._ledger = Ledger(doors, StoredReservations(doors))
        self.ledger = PostgresLedger(self._ledger)
        self.tenant_source = PostgresTenantSource(self._tenants, self.tenant_feed.watch)
        self.entitlement_source = PostgresEntitlementSource(self._entitlements, self.entitlement_feed.watch)
        drain = PoolDrain(pool, self._ledger)
        self._allocations, self._gauges = Allocations(doors, self._ledger, uuid7, drain), Gauges(doors)
        self.sweepers = _sweepers(self._allocations, self._gauges, Retention(doors, quotas))

    @property
    def registrations(self) -> Sequence[Registration]:
        """The gRPC services."""
        return [
            (add_TenantServiceServicer_to_server, self._tenant_service()),
            (add_PlanServiceServicer_to_server, self._plan_service()),
            (add_EntitlementServiceServicer_to_server, self._entitlement_service()),
            (add_QuotaServiceServicer_to_server, self._quota_service()),
            (add_OperationServiceServicer_to_server, self._operation_service()),
        ]

    def _tenant_service(self) -> JoinedServicer:
        plan_changes = PlanChanges(self._doors, uuid7, self._pooled)
        return JoinedServicer(
            _TENANTS, TenantServicer(self._tenants, self.tenant_feed.watch), PlanChangeServicer(plan_changes)
        )

    def _plan_service(self) -> JoinedServicer:
        features = Features(self._doors, plan_ids)
        return JoinedServicer(_PLANS, FeatureServicer(features), PlanServicer(Plans(self._doors)))

    def _entitlement_service(self) -> JoinedServicer:
        doors = self._doors
        return JoinedServicer(
            _ENTITLEMENTS,
            EntitlementServicer(self._entitlements),
            CheckServicer(Checks(doors, self._entitlements)),
            OverrideServicer(Overrides(doors)),
            GrantServicer(Grants(doors, uuid7)),
            HistoryServicer(History(doors), self.entitlement_feed.watch),
        )

    def _quota_service(self) -> JoinedServicer:
        return JoinedServicer(
            _QUOTAS,
            AllowanceServicer(self._ledger),
            AllocationServicer(self._allocations),
            GaugeServicer(self._gauges),
        )

    def _operation_service(self) -> JoinedServicer:
        operations = Operations(self._doors, self._endings)
        return JoinedServicer(_OPERATIONS, OperationServicer(operations, {PLAN_CHANGE: PlanChangeMessages()}))


def _sweepers(allocations: Allocations, gauges: Gauges, retention: Retention) -> list[Repeating]:
    return [
        Repeating("quota-expiry", allocations.expire, EXPIRY_INTERVAL),
        Repeating("gauge-keys", gauges.forget_keys, RETENTION_INTERVAL),
        Repeating("allocation-retention", retention.forget_allocations, RETENTION_INTERVAL),
        Repeating("period-retention", retention.forget_periods, RETENTION_INTERVAL),
    ]
