"""The entitlement source of tenant_svc's own chain. It reads the database; every other process asks tenant_svc."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import tenantmesh.interceptors.entitlements as port
from tenantmesh.chassis.event_log.watch import FromCursor, FromNow, Watch
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.entitlements.entitlement import Effective, TenantEntitlements
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries
from tenantmesh.tenant_svc.history.event import EntitlementEvent

__all__ = ["PostgresEntitlementSource", "for_the_chain"]


class PostgresEntitlementSource(port.EntitlementSource):
    """An EntitlementSource on the database and the process's one tail of the event log."""

    def __init__(self, entitlements: EntitlementQueries, watch: Watch[EntitlementEvent]) -> None:
        self._entitlements = entitlements
        self._watch = watch

    async def find(self, tenant_id: TenantId) -> port.Entitlements | None:
        """Return the entitlements in force now, or None for a tenant that does not exist. Raises Unavailable."""
        found = await self._entitlements.find(tenant_id)
        return None if found is None else for_the_chain(found)

    async def watch(self, cursor: str | None) -> AsyncIterator[port.EntitlementChange]:
        """Yield every change after the cursor, or from now; a checkpoint first. Raises OutOfRange, Unavailable."""
        start = FromNow() if cursor is None else FromCursor(cursor)
        async with aclosing(self._watch.follow(start)) as changes:
            async for change in changes:
                event = change.event
                if event is None:
                    yield port.EntitlementChange(change.cursor, caught_up=change.caught_up)
                else:
                    yield port.EntitlementChange(change.cursor, event.tenant_id, everybody=event.tenant_id is None)


def for_the_chain(found: TenantEntitlements) -> port.Entitlements:
    """Return the entitlements as the chain's data, which has no reasons."""
    return port.Entitlements(
        tenant_id=found.tenant_id,
        plan_id=found.plan.id,
        plan_version=found.plan.version,
        revision=found.revision,
        features={feature_id: _feature(entitled) for feature_id, entitled in found.features.items()},
        rates=found.rates,
        over_limit=found.over_limit,
        read_only=found.read_only,
        valid_for=found.valid_for,
    )


def _feature(entitled: Effective) -> port.Feature:
    return port.Feature(
        id=entitled.feature.id,
        type=entitled.feature.type,
        enabled=entitled.enabled,
        limit=entitled.limit,
        value=None if entitled.value is None else entitled.value.static,
        available_in=entitled.available_in,
    )
