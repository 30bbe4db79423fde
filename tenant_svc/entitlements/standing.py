"""The standing of a tenant: its entitlements, and how much of each limit is used. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.tenant_svc.balances.account import Account
from tenantmesh.tenant_svc.balances.grant import countable
from tenantmesh.tenant_svc.entitlements.entitlement import Effective, TenantEntitlements
from tenantmesh.tenant_svc.features.feature import Period

__all__ = ["Spent", "Standing", "Usage"]


@dataclass(frozen=True, slots=True)
class Spent:
    """The units of a METERED feature that the ledger has given out in a period: `from_plan` from the allowance, the
    rest from grants."""

    given: int = 0
    from_plan: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a limit, in the feature's unit. `limit` and `remaining` are None without a limit.

    period_start, reset_time: the period of a METERED feature.
    """

    used: int
    limit: int | None
    remaining: int | None
    period_start: datetime | None = None
    reset_time: datetime | None = None

    def fits(self, amount: int) -> bool:
        """Return whether the amount can still be used."""
        return self.remaining is None or amount <= self.remaining


@dataclass(frozen=True, slots=True)
class Standing:
    """A tenant's entitlements and their usage.

    spent: the units of METERED features that the ledger has given out in this period.
    pooled: the part of them that is still in the pool, where any process may take it. It is not used yet.
    """

    entitlements: TenantEntitlements
    spent: Mapping[str, Spent] = field(default_factory=dict)
    pooled: Mapping[str, int] = field(default_factory=dict)

    def usage(self, entitled: Effective) -> Usage | None:
        """Return the usage of the feature, or None for features that are not counted."""
        match entitled.feature.type:
            case FeatureType.GAUGE:
                level = self.entitlements.levels.get(entitled.feature.id, 0)
                limit = entitled.limit
                return Usage(level, limit, None if limit is None else max(0, limit - level))
            case FeatureType.METERED if entitled.feature.period is not None:
                return self._of_period(entitled, entitled.feature.period)
        return None

    def _of_period(self, entitled: Effective, period: Period) -> Usage:
        now, feature_id = self.entitlements.now, entitled.feature.id
        spent = self.spent.get(feature_id, Spent())
        pooled = min(self.pooled.get(feature_id, 0), spent.given)
        to_grants = min(pooled, spent.given - spent.from_plan)  # returned units go to grants first
        account = Account(
            feature_id,
            now,
            period.start_of(now),
            period.end_of(now),
            entitled.limit,
            spent.given - pooled,
            spent.from_plan - (pooled - to_grants),
            entitled.grants,
        )
        limit = account.limit
        return Usage(
            account.given,
            None if limit is None else countable(limit + to_grants),
            None if limit is None else countable(account.left + to_grants),
            account.period_start,
            account.period_end,
        )
