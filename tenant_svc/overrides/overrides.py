"""The use cases of overrides: list, set, clear. They open the doors and use neither gRPC nor SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.pages import LARGEST_PAGE, Page, id_tokens, page_size
from tenantmesh.chassis.requests import reason_problem, refuse
from tenantmesh.interceptors.errors import FailedPrecondition
from tenantmesh.interceptors.tenants import TenantId, no_such_tenant
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.entitlements.entitlement import Override
from tenantmesh.tenant_svc.entitlements.repository import lock_tenant
from tenantmesh.tenant_svc.entitlements.terms import end_read_only_now
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue
from tenantmesh.tenant_svc.features.features import feature_named, known_feature
from tenantmesh.tenant_svc.features.rules import MAX_STATIC_BYTES, static_bytes
from tenantmesh.tenant_svc.features.wording import moment_words, value_words
from tenantmesh.tenant_svc.history.event import ChangeType, NewChange
from tenantmesh.tenant_svc.history.repository import record
from tenantmesh.tenant_svc.overrides import repository
from tenantmesh.tenant_svc.overrides.rules import OverrideDraft, check_override
from tenantmesh.tenant_svc.positions import lock_log

__all__ = ["Overrides", "override_words"]

_TOKENS = id_tokens(b"tm.overs")


class Overrides:
    """The use cases. All raise Unavailable when the database can't be reached. `actor` is the credential that asks."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def page(self, tenant_id: TenantId, size: int, token: str) -> Page[Override]:
        """Return a page of the tenant's overrides by feature, expired ones included, from the token's position.

        Without a size the page is the largest one. Raises InvalidArgument for another list's token.
        """
        tokens = _TOKENS.of(str(tenant_id))
        size, after = page_size(size, LARGEST_PAGE), tokens.open(token)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await repository.page(connection, tenant_id, after, size + 1)
        return tokens.page(found, size, lambda override: override.feature)

    async def set(self, tenant_id: TenantId, draft: OverrideDraft, actor: str) -> Override:
        """Store the override in place of an existing one. An override with the same content stores nothing.

        Raises InvalidArgument, NotFound `TENANT_NOT_FOUND`, `FEATURE_NOT_FOUND`, FailedPrecondition
        `OVERRIDES_TOO_LARGE`.
        """
        async with self._doors.tenant(tenant_id) as connection:
            now = await _locked(connection, tenant_id)
            feature = await known_feature(connection, draft.feature, "feature")
            before = await repository.get(connection, tenant_id, draft.feature)
            if before is not None and _matches(before, draft):
                return before
            value = check_override(draft, feature, now)
            if value.static is not None:
                _refuse_beyond(await repository.values(connection, tenant_id) | {draft.feature: value})
            await lock_log(connection)
            after = await repository.store(connection, tenant_id, draft, value)
            await end_read_only_now(connection, tenant_id)
            change = NewChange(
                type=ChangeType.OVERRIDE_SET,
                feature=draft.feature,
                actor=actor,
                reason=draft.reason,
                before="" if before is None else override_words(before, feature),
                after=override_words(after, feature),
            )
            await record(connection, tenant_id, change)
        return after

    async def clear(self, tenant_id: TenantId, feature: str, reason: str, actor: str) -> None:
        """Delete the override, so that the plan's value holds again. Without an override nothing happens.

        Raises InvalidArgument, NotFound `TENANT_NOT_FOUND`.
        """
        refuse({"reason": reason_problem(reason)})
        async with self._doors.tenant(tenant_id) as connection:
            await _locked(connection, tenant_id)
            known = await feature_named(connection, feature)
            if known is None or await repository.get(connection, tenant_id, feature) is None:
                return
            await lock_log(connection)
            cleared = await repository.clear(connection, tenant_id, feature)
            await end_read_only_now(connection, tenant_id)
            change = NewChange(
                type=ChangeType.OVERRIDE_CLEARED,
                feature=feature,
                actor=actor,
                reason=reason,
                before=override_words(cleared, known),
            )
            await record(connection, tenant_id, change)


def override_words(override: Override, feature: FeatureDef) -> str:
    """Return words for the override's value and its expiry."""
    until = f" until {moment_words(override.expire_time)}" if override.expire_time else ""
    return value_words(override.value, feature) + until


async def _locked(connection: Connection, tenant_id: TenantId) -> datetime:
    """Lock the tenant and return the database's clock. Raises NotFound.

    First ends READ_ONLY where no level is over its limit any more: an override may have expired since.
    """
    now = await lock_tenant(connection, tenant_id)
    if now is None:
        raise no_such_tenant()
    await end_read_only_now(connection, tenant_id)
    return now


def _refuse_beyond(values: Mapping[str, FeatureValue]) -> None:
    """Refuse overrides whose static values would not fit into an answer with all entitlements of the tenant."""
    size = static_bytes(values.values())
    if size > MAX_STATIC_BYTES:
        raise FailedPrecondition(
            "OVERRIDES_TOO_LARGE",
            f"The static values of the tenant's overrides would have {size} bytes as messages, and may have "
            f"{MAX_STATIC_BYTES} in all. Clear overrides that are not needed, expired ones too, or set shorter values.",
            metadata={"bytes": str(size), "limit": str(MAX_STATIC_BYTES)},
        )


def _matches(override: Override, draft: OverrideDraft) -> bool:
    stored = (override.value, override.reason, override.expire_time)
    same = stored == (draft.value, draft.reason, draft.expire_time)
    # To Python true and 1 are equal; to readers of a STATIC value they are not.
    return same and repr(override.value) == repr(draft.value)
