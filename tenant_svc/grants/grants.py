"""The use cases of grants: create, list, void. They open the doors and use neither gRPC nor SQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.pages import LARGEST_PAGE, Page, page_size
from tenantmesh.chassis.requests import RequestKey, id_problem, reason_problem, refuse, required
from tenantmesh.interceptors.errors import AlreadyExists, NotFound
from tenantmesh.interceptors.tenants import TenantId, no_such_tenant
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.balances.grant import Grant
from tenantmesh.tenant_svc.entitlements.repository import lock_tenant
from tenantmesh.tenant_svc.features.feature import FeatureDef, Period
from tenantmesh.tenant_svc.features.features import known_feature
from tenantmesh.tenant_svc.features.repository import all_features
from tenantmesh.tenant_svc.features.wording import amount_words, moment_words
from tenantmesh.tenant_svc.grants import repository
from tenantmesh.tenant_svc.grants.listing import TOKENS, ListedGrant, in_listing_order, listed_now, place_of
from tenantmesh.tenant_svc.grants.rules import GrantDraft, check_grant
from tenantmesh.tenant_svc.history.event import ChangeType, NewChange
from tenantmesh.tenant_svc.history.repository import record
from tenantmesh.tenant_svc.positions import lock_log

__all__ = ["Grants", "grant_not_found"]


class Grants:
    """The use cases. All raise Unavailable when the database can't be reached.

    `actor` is the credential that asks, `new_id` makes time-ordered UUIDs.
    """

    def __init__(self, doors: Doors, new_id: Callable[[], uuid.UUID]) -> None:
        self._doors = doors
        self._new_id = new_id

    async def page(self, tenant_id: TenantId, feature: str, size: int, token: str) -> Page[ListedGrant]:
        """Return a page of the tenant's grants, of one feature or (empty) of all, from the token's position.

        Without a size the page is the largest one. Raises InvalidArgument for another list's token.
        """
        tokens = TOKENS.of(str(tenant_id), feature)
        size, after = page_size(size, LARGEST_PAGE), tokens.open(token)
        if feature and id_problem(feature):
            return tokens.page([], size, place_of)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            # All of them: their order depends on what remains of each, which no index knows.
            grants, now = await repository.all_of(connection, tenant_id, feature)
            listed = [] if now is None else in_listing_order(grants, await all_features(connection), now)
        return tokens.page([entry for entry in listed if place_of(entry) > after], size, place_of)

    async def create(self, tenant_id: TenantId, draft: GrantDraft, key: RequestKey | None, actor: str) -> ListedGrant:
        """Create the grant. A repeated request gets the grant that it created the first time.

        Raises InvalidArgument, NotFound `TENANT_NOT_FOUND`, `FEATURE_NOT_FOUND`, AlreadyExists `REQUEST_ID_REUSED`.
        """
        async with self._doors.tenant(tenant_id) as connection:
            now = await lock_tenant(connection, tenant_id)
            if now is None:
                raise no_such_tenant()
            feature = await known_feature(connection, draft.feature, "grant.feature")
            made = await self._made_by(connection, tenant_id, draft, key)
            if made is not None:
                return listed_now(made, feature, now)
            check_grant(draft, feature, now)
            await lock_log(connection)
            new = _new_grant(self._new_id(), draft, feature, now)
            grant = await repository.create(connection, tenant_id, new, key, draft.digest)
            change = NewChange(
                type=ChangeType.GRANT_CREATED,
                feature=grant.feature,
                actor=actor,
                reason=draft.reason,
                after=grant_words(grant, feature),
            )
            await record(connection, tenant_id, change)
        return listed_now(grant, feature, now)

    async def void(self, tenant_id: TenantId, grant_id: uuid.UUID, reason: str, actor: str) -> ListedGrant:
        """End the grant now. A voided grant stays as it is.

        Raises InvalidArgument, NotFound `TENANT_NOT_FOUND`, `GRANT_NOT_FOUND`.
        """
        refuse({"reason": reason_problem(reason)})
        async with self._doors.tenant(tenant_id) as connection:
            now = await lock_tenant(connection, tenant_id)
            if now is None:
                raise no_such_tenant()
            grant = await repository.locked(connection, tenant_id, grant_id)
            if grant is None:
                raise grant_not_found()
            feature = await known_feature(connection, grant.feature, "grant.feature")
            if grant.void_time is None:
                await lock_log(connection)
                grant = await repository.void(connection, tenant_id, grant_id)
                change = NewChange(
                    type=ChangeType.GRANT_VOIDED,
                    feature=grant.feature,
                    actor=actor,
                    reason=reason,
                    before=f"{amount_words(grant.balance, feature)} of {grant_words(grant, feature)} left",
                )
                await record(connection, tenant_id, change)
        return listed_now(grant, feature, now)

    async def _made_by(
        self, connection: Connection, tenant_id: TenantId, draft: GrantDraft, key: RequestKey | None
    ) -> Grant | None:
        made = None if key is None else await repository.made_by(connection, tenant_id, key)
        if made is None:
            return None
        digest, grant = made
        if digest != draft.digest:
            raise AlreadyExists("REQUEST_ID_REUSED", "This request_id has created another grant. Send a new one.")
        return grant


def grant_not_found() -> NotFound:
    """Return the refusal of a grant that is missing or another tenant's."""
    return NotFound("GRANT_NOT_FOUND", "The tenant has no such grant. List its grants.")


def grant_words(grant: Grant, feature: FeatureDef) -> str:
    """Return words for the grant's amount, priority and times."""
    until = f" until {moment_words(grant.expire_time)}" if grant.expire_time else ""
    began = moment_words(grant.effective_time)
    return f"{amount_words(grant.amount, feature)} at priority {grant.priority} from {began}{until}"


def _new_grant(grant_id: uuid.UUID, draft: GrantDraft, feature: FeatureDef, now: datetime) -> Grant:
    """Return the new grant. No unit of it is used in the period in which it begins; rollover first applies in the
    next."""
    effective = draft.effective_time or now
    return Grant(
        id=grant_id,
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


def _period(feature: FeatureDef) -> Period:
    return required(feature.period)  # grants are of METERED features, which have a period
