"""Link 15: the allowances of the tenant's plan. Last of the gates, because it consumes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.call import Call
from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.entitlements import Entitlements
from tenantmesh.interceptors.errors import QuotaViolation, ResourceExhausted, Unavailable
from tenantmesh.interceptors.leases.allowances import LeasedQuota, Receipt, Shortage
from tenantmesh.interceptors.leases.holding import Holding
from tenantmesh.interceptors.limits import Rate, StoreUnavailable
from tenantmesh.interceptors.link import Link, Pending
from tenantmesh.interceptors.links.outcome import Outcome, outcome_of
from tenantmesh.interceptors.policy import Charge, ChargePer, MethodPolicy, PolicyError, StoreDown, TenantScope
from tenantmesh.interceptors.servers.limit_headers import Limited

__all__ = ["LOCAL_SHARE", "Quota"]

LOCAL_SHARE = 0.25
"""The part of an allowance that one process serves by itself while neither pool nor ledger answers: as if four of them
shared it, spread over the day."""
DAY = 86_400.0
_OPERATOR = CallerKind.OPERATOR
_OK = grpc.StatusCode.OK


class Quota(Link):
    """Charges the meters of a method's policy, all or nothing, and gives back what was taken for calls that are not
    counted. Lets handlers charge by `call.charge`."""

    def __init__(self, quotas: LeasedQuota | None, entitlements: EntitlementDirectory | None) -> None:
        self._quotas = quotas
        self._entitlements = entitlements
        self._local = MemoryRateLimiter()
        if quotas is not None and entitlements is not None:
            entitlements.on_forgotten(quotas.forget)

    def bind(self, policy: MethodPolicy) -> Link | None:
        """The link for one policy. Raises PolicyError when meters are charged and there is nothing to charge."""
        if policy.meters and (self._quotas is None or self._entitlements is None):
            missing = "quotas" if self._quotas is None else "entitlements"
            raise PolicyError(f"{policy.method} charges {policy.meters[0].meter}: give the chain {missing}")
        if self._quotas is None or policy.tenant_scope is TenantScope.NONE:
            return None
        kinds = {charge.per for charge in policy.meters}
        bound = _METERED[ChargePer.REQUEST_MESSAGE in kinds, ChargePer.RESPONSE_MESSAGE in kinds]
        return bound(self._quotas, self._entitlements, self._local, policy)


class _Metered(Link):
    """For one policy. Also for those that charge nothing by themselves, since their handlers may."""

    def __init__(
        self,
        quotas: LeasedQuota,
        entitlements: EntitlementDirectory | None,
        local: MemoryRateLimiter,
        policy: MethodPolicy,
    ) -> None:
        self._quotas = quotas
        self._entitlements = entitlements
        self._local = local
        self._policy = policy
        self._each_call, self._each_request, self._each_response = (
            tuple(charge for charge in policy.meters if charge.per is per) for per in ChargePer
        )

    def admit(self, call: Call) -> Pending:
        call.charger = self
        tenant = call.tenant
        if not self._each_call or tenant is None or call.caller.kind is _OPERATOR:
            return None
        found = self._quotas.charge_now(tenant.id, self._each_call, call.started)
        if type(found) is tuple:
            call.taken = found
            return None
        return self._settle(call, self._each_call, found, ChargePer.CALL)

    def charge(self, call: Call, charges: Sequence[Charge], now: float, per: ChargePer = ChargePer.CALL) -> Pending:
        """Charges the call's tenant. Raises ResourceExhausted, or Unavailable where the policy wants it."""
        tenant = call.tenant
        if tenant is None or call.caller.kind is _OPERATOR:
            return None
        return self._settle(call, charges, self._quotas.charge_now(tenant.id, charges, now), per)

    def _settle(
        self, call: Call, charges: Sequence[Charge], found: tuple[Receipt, ...] | Shortage | None, per: ChargePer
    ) -> Pending:
        if found is None:
            known = self._entitled_now(call)
            limited = [charge for charge in charges if not _unlimited(known, charge)]
            return self._ask(call, limited, per) if limited else None
        self._note(call, found, per)
        return None

    def _entitled_now(self, call: Call) -> Entitlements | None:
        """What the tenant is entitled to, if that is known. What a stream began with may be over."""
        known = None if self._entitlements is None else self._entitlements.peek(call.tenant_id)
        return known if isinstance(known, Entitlements) else None

    def leave(self, call: Call) -> None:
        call.over = True  # first: what comes later is given back by whoever brings it
        if call.error is None:
            if call.ends_with is not None:
                call.error = call.ends_with  # the handler took it for the end of the stream
            elif call.code is _OK:
                return
        if not (call.taken or call.taken_by_messages):
            return
        outcome = outcome_of(call)
        if outcome is Outcome.SERVED:
            return
        if outcome is Outcome.FAILED:
            self._quotas.refund(call.taken_by_messages)
        if outcome is Outcome.FAILED or not call.cut_short:
            self._quotas.refund(call.taken)

    async def _ask(self, call: Call, charges: Sequence[Charge], per: ChargePer) -> None:
        assert call.tenant is not None  # noqa: S101  # charge() has looked
        try:
            found = await self._quotas.charge(call.tenant.id, charges)
        except StoreUnavailable as error:
            self._do_without(call, charges, error)
            return
        if call.over and not isinstance(found, Shortage):
            self._quotas.refund(found)  # the call did not wait for it
        else:
            self._note(call, found, per)

    def _note(self, call: Call, found: tuple[Receipt, ...] | Shortage, per: ChargePer) -> None:
        """Keeps what was taken with the call. Raises ResourceExhausted when it was nothing."""
        if isinstance(found, Shortage):
            # Of a stream, what was served until now stays charged.
            call.cut_short = self._policy.streams
            call.limited = Limited(found.meter, found.limit, 0, found.resets_in)
            refusal = _exhausted(call, found)
            if per is not ChargePer.CALL:
                call.ends_with = refusal
            raise refusal
        if per is ChargePer.RESPONSE_MESSAGE:
            pass  # what was answered stays charged
        elif per is ChargePer.REQUEST_MESSAGE:
            call.taken_by_messages = _added(call.taken_by_messages, found)
        elif call.taken:
            call.taken = _added(call.taken, found)
        else:
            call.taken = found

    def _do_without(self, call: Call, charges: Sequence[Charge], error: StoreUnavailable) -> None:
        """Neither pool nor ledger answers."""
        call.degraded = True
        if self._policy.store_down is StoreDown.ALLOW:
            return
        limited = [charge for charge in charges if not _unlimited(call.entitled, charge)]
        if not limited or (self._policy.store_down is StoreDown.LOCAL and self._from_local_share(call, limited)):
            return
        raise Unavailable(
            "QUOTA_UNAVAILABLE", "What is left of the tenant's allowance can't be found out. Retry with backoff."
        ) from error

    def _from_local_share(self, call: Call, charges: Sequence[Charge]) -> bool:
        """Takes all charges or none."""
        taken: list[tuple[str, Rate, int]] = []
        for charge in charges:
            share = _local_share(call.entitled, charge)
            key = f"{call.tenant_id}:{charge.meter}"
            if share is None or not self._local.take_now(key, share, charge.cost).allowed:
                for each in taken:
                    self._local.give_back(*each)
                return False
            taken.append((key, share, charge.cost))
        return True


class _MeteredRequests(_Metered):
    def read(self, call: Call, message: Any) -> Pending:  # noqa: ARG002  # each costs the same
        return self.charge(call, self._each_request, time.perf_counter(), ChargePer.REQUEST_MESSAGE)


class _MeteredResponses(_Metered):
    def write(self, call: Call, message: Any) -> Pending:  # noqa: ARG002  # each costs the same
        return self.charge(call, self._each_response, time.perf_counter(), ChargePer.RESPONSE_MESSAGE)


class _MeteredBothWays(_MeteredRequests, _MeteredResponses):
    pass


_METERED: dict[tuple[bool, bool], type[_Metered]] = {
    (False, False): _Metered,
    (True, False): _MeteredRequests,
    (False, True): _MeteredResponses,
    (True, True): _MeteredBothWays,
}


def _unlimited(entitled: Entitlements | None, charge: Charge) -> bool:
    return entitled is not None and charge.meter in entitled.features and entitled.limit(charge.meter) is None


def _local_share(entitled: Entitlements | None, charge: Charge) -> Rate | None:
    """What one process serves of a limited meter by itself."""
    limit = None if entitled is None else entitled.limit(charge.meter)
    return Rate(limit * LOCAL_SHARE / DAY, max(1, int(limit * LOCAL_SHARE / 24))) if limit else None


def _added(taken: Sequence[Receipt], more: Sequence[Receipt]) -> Sequence[Receipt]:
    """Adds up what was taken of the same meter, period and entitlements, so that long streams stay small."""
    added = {_kind(each): each for each in taken}
    for each in more:
        same = added.get(_kind(each))
        added[_kind(each)] = each if same is None else replace(same, amount=same.amount + each.amount)
    return tuple(added.values())


def _kind(taken: Receipt) -> tuple[Holding, datetime | None, int]:
    return taken.holding, taken.period_start, taken.generation


def _exhausted(call: Call, short: Shortage) -> ResourceExhausted:
    resets_at = datetime.now(UTC) + timedelta(seconds=short.resets_in + 0.5)
    metadata = {
        "meter": short.meter,
        "limit": str(short.limit),
        "scope": "tenant",
        "resets_at": resets_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if call.entitled is not None:
        metadata["plan"] = call.entitled.plan_id
    return ResourceExhausted(
        "QUOTA_EXHAUSTED",
        f"The tenant has used up its allowance of {short.meter}, which is {short.limit}. Wait for the next period, or "
        "ask for a larger plan or a grant.",
        metadata=metadata,
        quota_violations=[QuotaViolation.of_allowance(call.tenant_id, short.meter, short.limit)],
        retry_after=timedelta(seconds=short.resets_in),
    )
