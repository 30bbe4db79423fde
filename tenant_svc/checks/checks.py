"""The use cases of checks: whether tenants may use features now, one or many at once, and for which reason. They open
the doors and use neither gRPC nor SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import InvalidArgument, MeshError
from tenantmesh.interceptors.tenants import TenantId, is_slug, no_such_tenant, parse_tenant_id
from tenantmesh.tenant_svc.checks.decision import Decision, decide
from tenantmesh.tenant_svc.checks.refusals import unreadable
from tenantmesh.tenant_svc.checks.rules import FeatureCheck, check_check
from tenantmesh.tenant_svc.entitlements import reader
from tenantmesh.tenant_svc.entitlements.entitlement import Effective, TenantEntitlements
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries
from tenantmesh.tenant_svc.entitlements.reader import WithSpent
from tenantmesh.tenant_svc.entitlements.standing import Standing
from tenantmesh.tenant_svc.features.refusals import feature_not_found
from tenantmesh.tenant_svc.grants import repository as grants
from tenantmesh.tenant_svc.grants.listing import ListedGrant, in_listing_order
from tenantmesh.tenant_svc.history import repository as history
from tenantmesh.tenant_svc.history.event import EntitlementEvent

__all__ = ["Checks", "Explanation"]

_RECENT = 10
_MOST_GRANTS = 1000
_CONCURRENT_POOL_READS = 16
_TENANTS_PER_STATEMENT = 100


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, the standing that it follows from, the feature's grants in burn order, and its last changes, newest
    first."""

    decision: Decision
    standing: Standing
    grants: list[ListedGrant]
    recent: list[EntitlementEvent]


class Checks:
    """The use cases. All raise Unavailable when the database can't be reached."""

    def __init__(self, doors: Doors, entitlements: EntitlementQueries) -> None:
        self._doors = doors
        self._entitlements = entitlements

    async def check(self, tenant_id: TenantId, check: FeatureCheck) -> tuple[Standing, Decision]:
        """Decide whether the tenant may use the amount of a feature. The tenant in the check is ignored.

        Raises InvalidArgument, NotFound `TENANT_NOT_FOUND`, `FEATURE_NOT_FOUND`.
        """
        check_check(check)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await reader.load_with_spent(connection, tenant_id)
        if found is None:
            raise no_such_tenant()
        entitled = _feature(found.entitlements, check.feature)
        standing = await self._entitlements.with_pooled(found, [check.feature])
        return standing, decide(standing, entitled, check.amount)

    async def check_many(self, checks: Sequence[FeatureCheck]) -> list[tuple[Standing, Decision] | MeshError]:
        """Return the answers in the order of the checks: a decision, or the error of that check alone."""
        wrong = [_problem(check) for check in checks]
        asked = [check for check, problem in zip(checks, wrong, strict=True) if problem is None]
        named = await self._tenants_by_name({check.tenant for check in asked})
        wanted: dict[TenantId, set[str]] = {}
        for check in asked:
            if check.tenant in named:
                wanted.setdefault(named[check.tenant], set()).add(check.feature)
        standings = await self._standings(wanted)
        return [
            problem or _answer(check, standings.get(named[check.tenant]) if check.tenant in named else None)
            for check, problem in zip(checks, wrong, strict=True)
        ]

    async def explain(self, tenant_id: TenantId, feature: str, *, every_plan: bool = False) -> Explanation:
        """Explain whether the tenant may use one unit of the feature. Raises as `check`.

        The explanation names the tenant's plan and the listed ones, or every plan.
        """
        check_check(FeatureCheck(str(tenant_id), feature, 0))
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await reader.load_with_spent(connection, tenant_id, every_plan=every_plan)
            if found is None:
                raise no_such_tenant()
            entitled = _feature(found.entitlements, feature)
            made, _ = await grants.all_of(connection, tenant_id, feature, _MOST_GRANTS)
            recent = await history.concerning(connection, tenant_id, feature, _RECENT)
        standing = await self._entitlements.with_pooled(found, [feature])
        listed = in_listing_order(made, {feature: entitled.feature}, found.entitlements.now)
        shown = [event.naming_only(found.entitlements.nameable) for event in recent]
        return Explanation(decide(standing, entitled, 1), standing, listed, shown)

    async def _tenants_by_name(self, names: set[str]) -> dict[str, TenantId]:
        """Return the tenants by their names, which are ids and slugs. Unknown slugs are omitted."""
        ids = {name: parsed for name in names if (parsed := parse_tenant_id(name)) is not None}
        slugs = [name for name in names if name not in ids and is_slug(name)]
        if not slugs:
            return ids
        async with self._doors.system("find the tenants of a batch of checks by slug", read_only=True) as connection:
            return {**ids, **await reader.tenants_of_slugs(connection, slugs)}

    async def _standings(self, wanted: Mapping[TenantId, set[str]]) -> dict[TenantId, Standing | MeshError]:
        found: dict[TenantId, WithSpent | Exception] = {}
        tenants = list(wanted)
        async with self._doors.system("read the entitlements of a batch of checks", read_only=True) as connection:
            for start in range(0, len(tenants), _TENANTS_PER_STATEMENT):
                some = {tenant: wanted[tenant] for tenant in tenants[start : start + _TENANTS_PER_STATEMENT]}
                found |= await reader.load_many(connection, some)
        turns = asyncio.Semaphore(_CONCURRENT_POOL_READS)

        async def standing(tenant: TenantId, loaded: WithSpent | Exception) -> tuple[TenantId, Standing | MeshError]:
            if isinstance(loaded, Exception):
                return tenant, unreadable(tenant, loaded)
            features = [name for name in wanted[tenant] if name in loaded.spent]
            async with turns:
                return tenant, await self._entitlements.with_pooled(loaded, features)

        return dict(await asyncio.gather(*(standing(tenant, loaded) for tenant, loaded in found.items())))


def _problem(check: FeatureCheck) -> MeshError | None:
    try:
        check_check(check)
    except InvalidArgument as error:
        return error
    return None


def _answer(check: FeatureCheck, standing: Standing | MeshError | None) -> tuple[Standing, Decision] | MeshError:
    if standing is None:
        return no_such_tenant()
    if isinstance(standing, MeshError):
        return standing
    entitled = standing.entitlements.features.get(check.feature)
    if entitled is None:
        return feature_not_found(check.feature)
    return standing, decide(standing, entitled, check.amount)


def _feature(entitlements: TenantEntitlements, feature: str) -> Effective:
    entitled = entitlements.features.get(feature)
    if entitled is None:
        raise feature_not_found(feature)
    return entitled
