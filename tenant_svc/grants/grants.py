"""What operators can do with grants: make, list, void. Knows neither gRPC nor SQL; opens the doors."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import AlreadyExists, NotFound
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.balances.grant import Grant, remaining
from tenantmesh.tenant_svc.entitlements import repository
from tenantmesh.tenant_svc.entitlements.rules import GrantDraft, check_grant, checked_reason
from tenantmesh.tenant_svc.features.catalog import known_feature
from tenantmesh.tenant_svc.features.wording import amount_words, grant_words
from tenantmesh.tenant_svc.grants import repository as grant_repository
from tenantmesh.tenant_svc.history.event import ChangeType
from tenantmesh.tenant_svc.plans import repository as plan_repository
from tenantmesh.tenant_svc.plans.plan import FeatureDef, Period
from tenantmesh.tenant_svc.plans.rules import id_problem
from tenantmesh.tenant_svc.tenants.tenant import RequestKey
from tenantmesh.tenant_svc.tenants.tenants import not_found

__all__ = ["MOST_LISTED", "Grants", "Holding", "grant_not_found", "holdings"]

MOST_LISTED = 1000


@dataclass(frozen=True, slots=True)
class Holding:
    """A grant, and what is left of it now, in its feature's unit."""

    grant: Grant
    remaining: int

    def for_users(self) -> Holding:
        """The grant, without why it was made."""
        return replace(self, grant=replace(self.grant, reason=""))


def holdings(grants: Sequence[Grant], features: Mapping[str, FeatureDef], now: datetime) -> list[Holding]:
    """The grants in the order in which they are used; those of which nothing can be used stand last."""
    listed = [_holding(grant, features[grant.feature], now) for grant in grants]
    return sorted(listed, key=lambda each: (each.remaining == 0, each.grant.burn_key))


class Grants:
    """The use cases. All raise Unavailable when the database can't be reached. `actor` is the credential that asks,
    `new_id` makes time-ordered UUIDs."""

    def __init__(self, doors: Doors, new_id: Callable[[], uuid.UUID]) -> None:
        self._doors = doors
        self._new_id = new_id

    async def all_of(self, tenant_id: TenantId, feature: str) -> list[Holding]:
        """The tenant's grants, of one feature or (empty) of all, at most 1,000."""
        if feature and id_problem(feature):
            return []
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            grants, now = await grant_repository.all_of(connection, tenant_id, feature, MOST_LISTED)
            if now is None:
                return []
            return holdings(grants, await plan_repository.features(connection), now)

    async def create(self, tenant_id: TenantId, draft: GrantDraft, key: RequestKey | None, actor: str) -> Holding:
        """Makes the grant; a request that is repeated gets the grant that it made the first time.

        Raises InvalidArgument, NotFound `TENANT_NOT_FOUND`, `FEATURE_NOT_FOUND`, AlreadyExists `REQUEST_ID_REUSED`.
        """
        async with self._doors.tenant(tenant_id) as connection:
            now = await repository.hold(connection, tenant_id)
            if now is None:
                raise not_found()
            feature = await known_feature(connection, draft.feature, "grant.feature")
            made = await self._made_by(connection, tenant_id, draft, key)
            if made is not None:
                return _holding(made, feature, now)
            check_grant(draft, feature, now)
            grant = await self._store(connection, tenant_id, _begun(self._new_id(), draft, feature, now), draft, key)
            await self._record(connection, tenant_id, ChangeType.GRANT_CREATED, feature, grant, draft.reason, actor)
        return _holding(grant, feature, now)

    async def void(self, tenant_id: TenantId, grant_id: uuid.UUID, reason: str, actor: str) -> Holding:
        """Ends the grant now; one that is voided stays as it is. Raises InvalidArgument, NotFound `TENANT_NOT_FOUND`,
        `GRANT_NOT_FOUND`."""
        checked_reason(reason)
        async with self._doors.tenant(tenant_id) as connection:
            now = await repository.hold(connection, tenant_id)
            if now is None:
                raise not_found()
            grant = await grant_repository.locked(connection, tenant_id, grant_id)
            if grant is None:
                raise grant_not_found()
            feature = await known_feature(connection, grant.feature, "grant.feature")
            if grant.void_time is None:
                await repository.lock_log(connection)
                grant = await grant_repository.void(connection, tenant_id, grant_id)
                await self._record(connection, tenant_id, ChangeType.GRANT_VOIDED, feature, grant, reason, actor)
        return _holding(grant, feature, now)

    async def _made_by(
        self, connection: Connection, tenant_id: TenantId, draft: GrantDraft, key: RequestKey | None
    ) -> Grant | None:
        made = None if key is None else await grant_repository.made_by(connection, tenant_id, key)
        if made is None:
            return None
        digest, grant = made
        if digest != draft.digest:
            raise AlreadyExists("REQUEST_ID_REUSED", "This request_id has made another grant. Send a new one.")
        return grant

    async def _store(
        self, connection: Connection, tenant_id: TenantId, grant: Grant, draft: GrantDraft, key: RequestKey | None
    ) -> Grant:
        await repository.lock_log(connection)
        return await grant_repository.insert_(connection, tenant_id, grant, key, draft.digest)

    async def _record(
        self,
        connection: Connection,
        tenant_id: TenantId,
        type_: ChangeType,
        feature: FeatureDef,
        grant: Grant,
        reason: str,
        actor: str,
    ) -> None:
        voided = type_ is ChangeType.GRANT_VOIDED
        await repository.record(
            connection,
            tenant_id,
            type=type_.value,
            feature=grant.feature,
            actor=actor,
            reason=reason,
            before=f"{amount_words(grant.balance, feature)} of {grant_words(grant, feature)} left" if voided else "",
            after="" if voided else grant_words(grant, feature),
        )


def grant_not_found() -> NotFound:
    """The error for a grant that is missing or foreign."""
    return NotFound("GRANT_NOT_FOUND", "The tenant has no such grant. List its grants.")


def _begun(id_: uuid.UUID, draft: GrantDraft, feature: FeatureDef, now: datetime) -> Grant:
    """The new grant, whole in the period in which it begins: the first new period is the one after."""
    effective = draft.effective_time or now
    return Grant(
        id=id_,
        feature=draft.feature,
        amount=draft.amount,
        priority=draft.priority,
        effective_time=effective,
        expire_time=draft.expire_time,
        max_rollover=draft.most_left,
        min_rollover=draft.min_rollover,
        reason=draft.reason,
        balance=draft.amount,
        balance_period=_period(feature).start_of(max(effective, now)),
        void_time=None,
        create_time=now,
    )


def _holding(grant: Grant, feature: FeatureDef, now: datetime) -> Holding:
    return Holding(grant, remaining(grant, now, _period(feature).start_of(now)))


def _period(feature: FeatureDef) -> Period:
    if feature.period is None:
        raise ValueError("grants are of METERED features, which have a period")
    return feature.period
