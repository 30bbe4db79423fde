"""What can be asked about entitlements: all of a tenant, one feature, many at once, and why. Knows neither gRPC nor
SQL; opens the doors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import InvalidArgument, MeshError
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.tenants import TenantId, is_slug, parse_tenant_id
from tenantmesh.tenant_svc.checks.decision import Decision, decide
from tenantmesh.tenant_svc.checks.explanation import steps
from tenantmesh.tenant_svc.entitlements import reader
from tenantmesh.tenant_svc.entitlements.entitlement import Effective, TenantEntitlements
from tenantmesh.tenant_svc.entitlements.reader import WithSpent
from tenantmesh.tenant_svc.entitlements.rules import Check, check_check
from tenantmesh.tenant_svc.entitlements.standing import Standing
from tenantmesh.tenant_svc.features.features import feature_not_found
from tenantmesh.tenant_svc.grants import repository as grant_repository
from tenantmesh.tenant_svc.grants.grants import MOST_LISTED, Holding, holdings
from tenantmesh.tenant_svc.history import repository as event_repository
from tenantmesh.tenant_svc.history.event import EntitlementEvent
from tenantmesh.tenant_svc.tenants.tenants import not_found

__all__ = ["Entitlements", "Explanation", "Pooled"]

Pooled = Callable[[TenantId, Sequence[str]], Awaitable[Mapping[str, int]]]
"""How many units of METERED features lie ready for any process: given out, and not used. Raises StoreUnavailable."""

_RECENT = 10
_AT_ONCE = 16  # questions to the pool
_CHUNK = 100  # tenants in one statement


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with its reasons, the feature's grants in burn order, and what changed last, newest first."""

    decision: Decision
    standing: Standing
    grants: list[Holding]
    recent: list[EntitlementEvent]

    @property
    def steps(self) -> list[str]:
        """What was weighed, as sentences."""
        return steps(self.standing.entitlements, self.decision)

    def for_users(self) -> Explanation:
        """How it was decided, without why operators had it so and by whose credentials."""
        return Explanation(
            self.decision.for_users(),
            self.standing,
            [each.for_users() for each in self.grants],
            [each.for_users() for each in self.recent],
        )


async def _nothing_pooled(_tenant_id: TenantId, _meters: Sequence[str]) -> Mapping[str, int]:
    return {}


class Entitlements:
    """The use cases. All raise Unavailable when the database can't be reached. `pooled` says what lies ready; what it
    can't tell counts as used."""

    def __init__(self, doors: Doors, pooled: Pooled = _nothing_pooled) -> None:
        self._doors = doors
        self._pooled = pooled

    async def find(self, tenant_id: TenantId) -> TenantEntitlements | None:
        """All that the tenant is entitled to; None when it is deleted or was never."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            return await reader.load(connection, tenant_id)

    async def get(self, tenant_id: TenantId) -> Standing:
        """As `find`, without what is used. Raises NotFound."""
        found = await self.find(tenant_id)
        if found is None:
            raise not_found()
        return Standing(found)

    async def standing(self, tenant_id: TenantId) -> Standing:
        """All that the tenant is entitled to, and what is used of it. Raises NotFound."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await reader.load_with_spent(connection, tenant_id)
        if found is None:
            raise not_found()
        return await self._with_pooled(found, list(found.spent))

    async def check(self, tenant_id: TenantId, check: Check) -> tuple[Standing, Decision]:
        """Whether the tenant may use so much of a feature; what the check calls the tenant is not looked at. Raises
        InvalidArgument, NotFound `TENANT_NOT_FOUND`, `FEATURE_NOT_FOUND`."""
        check_check(check)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await reader.load_with_spent(connection, tenant_id)
        if found is None:
            raise not_found()
        each = _feature(found.entitlements, check.feature)
        standing = await self._with_pooled(found, [check.feature])
        return standing, decide(standing, each, check.amount)

    async def check_many(self, checks: Sequence[Check]) -> list[tuple[Standing, Decision] | MeshError]:
        """The answers in the order of the checks, each a decision or what is wrong with that check alone."""
        wrong = [_problem(check) for check in checks]
        asked = [check for check, problem in zip(checks, wrong, strict=True) if problem is None]
        named = await self._named({check.tenant for check in asked})
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
        """Why the tenant may or may not use one of the feature. Names the tenant's plan and the listed ones, or every
        plan. Raises as `check`."""
        check_check(Check(str(tenant_id), feature, 0))
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await reader.load_with_spent(connection, tenant_id, every_plan=every_plan)
            if found is None:
                raise not_found()
            each = _feature(found.entitlements, feature)
            grants, _ = await grant_repository.all_of(connection, tenant_id, feature, MOST_LISTED)
            recent = await event_repository.concerning(connection, tenant_id, feature, _RECENT)
        standing = await self._with_pooled(found, [feature])
        decision = decide(standing, each, 1)
        listed = holdings(grants, {feature: each.feature}, found.entitlements.now)
        told = [change.naming_only(found.entitlements.nameable) for change in recent]
        return Explanation(decision, standing, listed, told)

    async def _named(self, names: set[str]) -> dict[str, TenantId]:
        """The tenants that ids and slugs name; slugs of nobody are left out."""
        ids = {name: parsed for name in names if (parsed := parse_tenant_id(name)) is not None}
        slugs = [name for name in names if name not in ids and is_slug(name)]
        if not slugs:
            return ids
        async with self._doors.system("tenants of a batch of checks by slug", read_only=True) as connection:
            return {**ids, **await reader.tenants_of_slugs(connection, slugs)}

    async def _standings(self, wanted: Mapping[TenantId, set[str]]) -> dict[TenantId, Standing]:
        found: dict[TenantId, WithSpent] = {}
        tenants = list(wanted)
        async with self._doors.system("entitlements of a batch of checks", read_only=True) as connection:
            for start in range(0, len(tenants), _CHUNK):
                some = {tenant: wanted[tenant] for tenant in tenants[start : start + _CHUNK]}
                found |= await reader.load_many(connection, some)
        turns = asyncio.Semaphore(_AT_ONCE)

        async def standing(tenant: TenantId, each: WithSpent) -> tuple[TenantId, Standing]:
            async with turns:
                return tenant, await self._with_pooled(each, [name for name in wanted[tenant] if name in each.spent])

        return dict(await asyncio.gather(*(standing(tenant, each) for tenant, each in found.items())))

    async def _with_pooled(self, found: WithSpent, features: Sequence[str]) -> Standing:
        given = [name for name in features if found.spent.get(name)]
        try:
            pooled = await self._pooled(found.entitlements.tenant_id, given) if given else {}
        except StoreUnavailable:
            pooled = {}  # what can't be seen counts as used, as it does while it is in a process
        return Standing(found.entitlements, found.spent, pooled)


def _problem(check: Check) -> MeshError | None:
    try:
        check_check(check)
    except InvalidArgument as error:
        return error
    return None


def _answer(check: Check, standing: Standing | None) -> tuple[Standing, Decision] | MeshError:
    if standing is None:
        return not_found()
    each = standing.entitlements.features.get(check.feature)
    if each is None:
        return feature_not_found(check.feature)
    return standing, decide(standing, each, check.amount)


def _feature(entitlements: TenantEntitlements, feature: str) -> Effective:
    each = entitlements.features.get(feature)
    if each is None:
        raise feature_not_found(feature)
    return each
