"""What operators can do with overrides: list, set, clear. Knows neither gRPC nor SQL; opens the doors."""

from __future__ import annotations

from datetime import datetime

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.entitlements import repository, terms
from tenantmesh.tenant_svc.entitlements.entitlement import Override
from tenantmesh.tenant_svc.entitlements.rules import OverrideDraft, check_override, checked_reason
from tenantmesh.tenant_svc.features.catalog import feature_named, known_feature
from tenantmesh.tenant_svc.features.wording import override_words
from tenantmesh.tenant_svc.history.event import ChangeType
from tenantmesh.tenant_svc.overrides import repository as override_repository
from tenantmesh.tenant_svc.tenants.tenants import not_found

__all__ = ["Overrides"]


class Overrides:
    """The use cases. All raise Unavailable when the database can't be reached. `actor` is the credential that asks."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def all_of(self, tenant_id: TenantId) -> list[Override]:
        """The tenant's overrides by feature, also those that have expired."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            return await override_repository.all_of(connection, tenant_id)

    async def set(self, tenant_id: TenantId, draft: OverrideDraft, actor: str) -> Override:
        """Sets the override in place of the one there is; one that says the same is left as it is.

        Raises InvalidArgument, NotFound `TENANT_NOT_FOUND`, `FEATURE_NOT_FOUND`.
        """
        async with self._doors.tenant(tenant_id) as connection:
            now = await _held(connection, tenant_id)
            feature = await known_feature(connection, draft.feature, "feature")
            before = await override_repository.get(connection, tenant_id, draft.feature)
            if before is not None and _says(before, draft):
                return before
            value = check_override(draft, feature, now)
            await repository.lock_log(connection)
            after = await override_repository.set_(connection, tenant_id, draft, value)
            await terms.settle_now(connection, tenant_id)
            await repository.record(
                connection,
                tenant_id,
                type=ChangeType.OVERRIDE_SET.value,
                feature=draft.feature,
                actor=actor,
                reason=draft.reason,
                before="" if before is None else override_words(before, feature),
                after=override_words(after, feature),
            )
        return after

    async def clear(self, tenant_id: TenantId, feature: str, reason: str, actor: str) -> None:
        """Lets the plan decide again; without an override nothing happens. Raises InvalidArgument, NotFound
        `TENANT_NOT_FOUND`."""
        checked_reason(reason)
        async with self._doors.tenant(tenant_id) as connection:
            await _held(connection, tenant_id)
            known = await feature_named(connection, feature)
            if known is None or await override_repository.get(connection, tenant_id, feature) is None:
                return
            await repository.lock_log(connection)
            cleared = await override_repository.clear(connection, tenant_id, feature)
            await terms.settle_now(connection, tenant_id)
            await repository.record(
                connection,
                tenant_id,
                type=ChangeType.OVERRIDE_CLEARED.value,
                feature=feature,
                actor=actor,
                reason=reason,
                before=override_words(cleared, known),
                after="",
            )


async def _held(connection: Connection, tenant_id: TenantId) -> datetime:
    """The database's clock, with the tenant held and its terms as they are before the change: what was over may have
    ended by itself since, as an override expired. Raises NotFound."""
    now = await repository.hold(connection, tenant_id)
    if now is None:
        raise not_found()
    await terms.settle_now(connection, tenant_id)
    return now


def _says(override: Override, draft: OverrideDraft) -> bool:
    stored = (override.value, override.reason, override.expire_time)
    same = stored == (draft.value, draft.reason, draft.expire_time)
    # To Python true and 1 are equal too; to whoever reads a STATIC value they are not.
    return same and repr(override.value) == repr(draft.value)
