"""Whether a tenant may use a feature, now. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.tenants import TenantState
from tenantmesh.tenant_svc.entitlements.entitlement import Effective
from tenantmesh.tenant_svc.entitlements.standing import Standing, Usage

__all__ = ["Decision", "decide"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a check. `reason` says why not, as the chain would; empty when it is allowed."""

    reason: str
    entitlement: Effective
    usage: Usage | None

    @property
    def allowed(self) -> bool:
        """Whether it may."""
        return not self.reason

    def for_users(self) -> Decision:
        """The same answer, without why the tenant has an override."""
        override = self.entitlement.override
        if override is None:
            return self
        return replace(self, entitlement=replace(self.entitlement, override=replace(override, reason="")))


def decide(standing: Standing, each: Effective, amount: int) -> Decision:
    """Whether the tenant may use so much of the feature; the amount is that of METERED and GAUGE features. Zero means
    one."""
    usage = standing.usage(each)
    if standing.entitlements.state is TenantState.SUSPENDED:
        return Decision("TENANT_SUSPENDED", each, usage)
    if usage is None:
        return Decision("" if each.enabled else "FEATURE_NOT_IN_PLAN", each, usage)
    if usage.fits(amount or 1):
        return Decision("", each, usage)
    gauge = each.feature.type is FeatureType.GAUGE
    return Decision("LIMIT_REACHED" if gauge else "QUOTA_EXHAUSTED", each, usage)
