"""Refuses a method that the tenant's plan lacks: a look-up in memory, before anything is counted."""

from __future__ import annotations

from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.entitlements import EntitlementLookup, Entitlements
from tenantmesh.interceptors.errors import PermissionDenied, Unavailable
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.names import in_metadata, in_words
from tenantmesh.interceptors.passage import Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy, PolicyError, TenantScope
from tenantmesh.interceptors.tenants import TenantId, no_such_tenant

__all__ = ["Entitlement"]


class Entitlement:
    """Establishes `call.entitlements` for calls that are for a tenant, and refuses what its plan does not include."""

    def __init__(self, directory: EntitlementLookup | None) -> None:
        self._directory = directory

    def bind(self, policy: MethodPolicy) -> Moments | None:
        """As `Link.bind`. Raises PolicyError when the policy needs a feature and the chain has no entitlements."""
        if self._directory is None:
            if policy.feature:
                raise PolicyError(f"{policy.method} needs the feature {policy.feature}: give the chain entitlements")
            return None
        if policy.tenant_scope is TenantScope.NONE:
            return None
        return Moments(admit=_BoundEntitlement(self._directory, policy).admit)


class _BoundEntitlement:
    def __init__(self, directory: EntitlementLookup, policy: MethodPolicy) -> None:
        self._directory = directory
        self._feature = policy.feature
        self._deleted_for = policy.deleted_for
        self._adds = policy.mutates and not policy.while_read_only

    def admit(self, call: Passage) -> Waiting:
        if call.tenant is None:
            return None
        known = self._directory.peek(call.tenant.id)
        if type(known) is not Entitlements:
            return self._find_and_decide(call, call.tenant.id)
        if self._feature or known.read_only or not self._directory.live:
            self._decide(call, known)
        else:
            call.entitled = known
        return None

    async def _find_and_decide(self, call: Passage, tenant_id: TenantId) -> None:
        """Without entitlements, refuse only calls whose policy depends on them; serve all others."""
        try:
            found = await self._directory.find(tenant_id)
        except Unavailable:
            call.degraded = call.entitlements_missed = True
            if (self._feature or self._adds) and call.caller.kind is not CallerKind.OPERATOR:
                raise
            return
        if found is None:
            if call.caller.kind is not CallerKind.OPERATOR and call.caller.kind not in self._deleted_for:
                raise no_such_tenant()
            call.entitlements_missed = True  # a deleted tenant, which the method serves: it is entitled to nothing
            return
        self._decide(call, found)

    def _decide(self, call: Passage, entitled: Entitlements) -> None:
        call.entitled = entitled
        if not self._directory.live:
            call.degraded = True
        if self._feature and not entitled.has(self._feature) and call.caller.kind is not CallerKind.OPERATOR:
            entitled.require(self._feature)
        if entitled.read_only and self._adds and call.caller.kind is not CallerKind.OPERATOR:
            raise _read_only(entitled)


def _read_only(entitled: Entitlements) -> PermissionDenied:
    over = entitled.over_limit
    return PermissionDenied(
        "OVER_LIMIT_READ_ONLY",
        f"The tenant is over its limits ({in_words(over)}), so calls that add something are refused. Use less of them, "
        "or choose a larger plan.",
        metadata={**in_metadata("over_limit", over), "plan": entitled.plan_id, "scope": "tenant"},
        to_strangers="The tenant takes no more of this at the moment. Its administrator can change that.",
    )
