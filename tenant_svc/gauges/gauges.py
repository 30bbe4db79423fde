"""The use cases of levels: adjusting one here, or storing a report of the service that keeps the rows."""

from __future__ import annotations

from datetime import timedelta

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.interceptors.tenants import TenantId, no_such_tenant
from tenantmesh.runtime.database import Connection, ForeignKeyViolation, Record
from tenantmesh.tenant_svc.entitlements import reader
from tenantmesh.tenant_svc.entitlements.entitlement import TenantEntitlements
from tenantmesh.tenant_svc.entitlements.repository import lock_tenant_shared
from tenantmesh.tenant_svc.entitlements.terms import end_read_only, end_read_only_now
from tenantmesh.tenant_svc.features.features import claim_gauge
from tenantmesh.tenant_svc.features.refusals import feature_not_found
from tenantmesh.tenant_svc.gauges import repository
from tenantmesh.tenant_svc.gauges.gauge import Adjustment, Gauge, Report
from tenantmesh.tenant_svc.gauges.refusals import gauge_owned, gauge_reported, key_reused, level_at_limit
from tenantmesh.tenant_svc.history.event import ChangeType, NewChange
from tenantmesh.tenant_svc.history.repository import record
from tenantmesh.tenant_svc.positions import lock_log

__all__ = ["Gauges"]

KEYS_KEPT = timedelta(days=7)
"""The least time for which keys are kept, as the contract promises."""

_BATCH = 1000


class _Unowned(Exception):
    """Raised when a level is reported of a gauge that has no owner yet."""


class Gauges:
    """The use cases. All raise Unavailable when the database can't be reached."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def adjust(self, tenant_id: TenantId, adjustment: Adjustment, actor: str) -> Gauge:
        """Raise or lower the level, once per key. A repeated key gets the level that it made the first time.

        Lowering is always possible, down to zero. Raises ResourceExhausted `LIMIT_REACHED`, NotFound
        `TENANT_NOT_FOUND`, `FEATURE_NOT_FOUND`, AlreadyExists `REQUEST_ID_REUSED` for a key used with another amount,
        FailedPrecondition `GAUGE_REPORTED`, PermissionDenied `GAUGE_OWNED` for a gauge whose owner is another.
        """
        try:
            async with self._doors.tenant(tenant_id) as connection:
                return await self._adjust(connection, tenant_id, adjustment, actor)
        except ForeignKeyViolation as error:
            raise no_such_tenant() from error

    async def report(self, tenant_id: TenantId, report: Report, actor: str) -> Gauge:
        """Store the level, whatever its limit, and return the gauge. A report that is not newer than the last one
        stores nothing. The first reporter of a gauge without an owner becomes its owner, for all tenants.

        Raises NotFound `TENANT_NOT_FOUND`, `FEATURE_NOT_FOUND`, PermissionDenied `GAUGE_OWNED`.
        """
        try:
            async with self._doors.tenant(tenant_id) as connection:
                return await self._report(connection, tenant_id, report, actor)
        except _Unowned:
            async with self._doors.system("make the first reporter of a gauge its owner") as connection:
                await claim_gauge(connection, report.gauge, report.reporter, actor)
        except ForeignKeyViolation as error:
            raise no_such_tenant() from error
        return await self.report(tenant_id, report, actor)

    async def forget_keys(self, keep: timedelta = KEYS_KEPT) -> int:
        """Delete a batch of keys that are older than `keep`, of any tenants, and return how many: 0 when none are
        left."""
        async with self._doors.system("delete keys of adjustments older than promised") as connection:
            return await repository.forget(connection, keep, _BATCH)

    async def _adjust(self, connection: Connection, tenant_id: TenantId, adjustment: Adjustment, actor: str) -> Gauge:
        row = await repository.lock(connection, tenant_id, adjustment.gauge)
        entitlements = await _entitlements(connection, tenant_id, adjustment.gauge)
        owner, limit = _owner(entitlements, adjustment.gauge), entitlements.features[adjustment.gauge].limit
        if owner and owner != adjustment.requester and not adjustment.overrules:
            raise gauge_owned(adjustment.gauge, owner)
        done = await repository.adjusted_by(connection, tenant_id, adjustment)
        if done is not None:
            delta, level = done
            if delta != adjustment.delta:
                raise key_reused()
            return Gauge(adjustment.gauge, level, limit)
        if row["reported_version"] is not None:
            raise gauge_reported(adjustment.gauge)
        before = Gauge(adjustment.gauge, row["level"], limit)
        after = Gauge(adjustment.gauge, max(0, before.level + adjustment.delta), limit)
        if adjustment.delta > 0 and after.level > (LARGEST_AMOUNT if limit is None else limit):
            raise level_at_limit(before, tenant_id, entitlements.plan.id)
        await repository.set_level(connection, tenant_id, after.id, after.level)
        await repository.remember(connection, tenant_id, adjustment, after.level)
        await _record_crossing(connection, entitlements, before, after, actor)
        return after

    async def _report(self, connection: Connection, tenant_id: TenantId, report: Report, actor: str) -> Gauge:
        row = await repository.lock(connection, tenant_id, report.gauge)
        entitlements = await _entitlements(connection, tenant_id, report.gauge)
        owner = _owner(entitlements, report.gauge)
        if not owner:
            raise _Unowned
        if owner != report.reporter:
            raise gauge_owned(report.gauge, owner)
        before = Gauge(report.gauge, row["level"], entitlements.features[report.gauge].limit)
        if not _is_newer(report, row):
            return before
        after = Gauge(report.gauge, report.level, before.limit)
        await repository.store_report(connection, tenant_id, report)
        await _record_crossing(connection, entitlements, before, after, actor)
        return after


def _owner(entitlements: TenantEntitlements, gauge: str) -> str:
    """Return the service that sets the gauge's levels; empty where any may."""
    return entitlements.features[gauge].feature.owner


def _is_newer(report: Report, row: Record) -> bool:
    """Return whether the report is newer than the last one. Versions of another reporter, before it, do not count."""
    last, before = row["reported_version"], row["reporter"] or report.reporter
    return last is None or before != report.reporter or report.version > last


async def _entitlements(connection: Connection, tenant_id: TenantId, gauge: str) -> TenantEntitlements:
    """Return the tenant's entitlements, which stay the same until this transaction ends.

    Call this after locking the level: otherwise the level could rise by a limit that was lowered meanwhile.
    """
    await lock_tenant_shared(connection, tenant_id)
    entitlements = await reader.load(connection, tenant_id)
    if entitlements is None:
        raise no_such_tenant()
    known = entitlements.features.get(gauge)
    if known is None or known.feature.type is not FeatureType.GAUGE:
        raise feature_not_found(gauge, FeatureType.GAUGE)
    return entitlements


async def _record_crossing(
    connection: Connection, found: TenantEntitlements, before: Gauge, after: Gauge, actor: str
) -> None:
    """Record that the level rose above its limit or fell to it, since that decides whether a tenant is read-only.

    `found` are the tenant's entitlements before the change.
    """
    if before.is_over == after.is_over:
        return
    await lock_log(connection)
    if after.is_over:
        await end_read_only(connection, found)
    else:
        await end_read_only_now(connection, found.tenant_id)
    change = NewChange(
        type=ChangeType.LIMIT_CROSSED, feature=after.id, actor=actor, before=str(before), after=str(after)
    )
    await record(connection, found.tenant_id, change)
