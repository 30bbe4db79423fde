"""The decision of a check: whether a tenant may use a feature now. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.tenants import TenantState
from tenantmesh.tenant_svc.entitlements.entitlement import Effective
from tenantmesh.tenant_svc.entitlements.standing import Standing, Usage

__all__ = ["Decision", "decide"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a check. `reason` is the chain's reason for refusing; empty when it would not refuse."""

    reason: str
    entitlement: Effective
    usage: Usage | None

    @property
    def allowed(self) -> bool:
        """Whether the tenant may use the feature."""
        return not self.reason


def decide(standing: Standing, entitled: Effective, amount: int) -> Decision:
    """Decide whether the tenant may use the amount of the feature; zero means one. Only METERED and GAUGE features have
    amounts."""
    usage = standing.usage(entitled)
    if standing.entitlements.state is TenantState.SUSPENDED:
        return Decision("TENANT_SUSPENDED", entitled, usage)
    if usage is None:
        return Decision("" if entitled.enabled else "FEATURE_NOT_IN_PLAN", entitled, usage)
    if usage.fits(amount or 1):
        return Decision("", entitled, usage)
    gauge = entitled.feature.type is FeatureType.GAUGE
    return Decision("LIMIT_REACHED" if gauge else "QUOTA_EXHAUSTED", entitled, usage)
