"""The allowances of the tenant's plan. Last of the gates, because it consumes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import grpc

from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.entitlements import EntitlementLookup, Entitlements
from tenantmesh.interceptors.errors import QuotaViolation, ResourceExhausted, Unavailable
from tenantmesh.interceptors.limits import Limited, StoreAway, StoreUnavailable
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.links.outcome import Outcome, outcome_of
from tenantmesh.interceptors.passage import Passage, StreamMetering, Waiting
from tenantmesh.interceptors.policy import MethodPolicy, PolicyError, StoreDown, TenantScope
from tenantmesh.interceptors.quotas import Allowances, Charge, ChargePer, ChargeReceipt, Shortage

__all__ = ["Quota"]

_ANONYMOUS = CallerKind.ANONYMOUS
_OK = grpc.StatusCode.OK
_Found: TypeAlias = tuple[ChargeReceipt, ...] | Shortage


class Quota:
    """Charges the meters of a method's policy, all or nothing, and refunds calls that are not counted. Lets handlers
    charge by `call.charge`."""

    def __init__(self, quotas: Allowances[Any] | None, entitlements: EntitlementLookup | None) -> None:
        self._quotas = quotas
        self._entitlements = entitlements
        if quotas is not None and entitlements is not None:
            entitlements.on_forgotten(quotas.forget)

    def bind(self, policy: MethodPolicy) -> Moments | None:
        """As `Link.bind`. Raises PolicyError when the policy charges meters and the chain has no allowances."""
        if policy.meters and (self._quotas is None or self._entitlements is None):
            missing = "quotas" if self._quotas is None else "entitlements"
            raise PolicyError(f"{policy.method} charges {policy.meters[0].meter}: give the chain {missing}")
        if self._quotas is None or policy.tenant_scope is TenantScope.NONE:
            return None
        return _BoundQuota(self._quotas, self._entitlements, policy).moments()


class _BoundQuota:
    """The link for one policy. Policies without meters need it too, since their handlers may charge."""

    def __init__(self, quotas: Allowances[Any], entitlements: EntitlementLookup | None, policy: MethodPolicy) -> None:
        self._quotas = quotas
        self._entitlements = entitlements
        self._policy = policy
        self._counted = policy.counted
        self._by_call, self._by_request, self._by_response = (
            tuple(charge for charge in policy.meters if charge.per is per) for per in ChargePer
        )

    def moments(self) -> Moments:
        return Moments(
            admit=self.admit,
            read=self.read if self._by_request else None,
            write=self.write if self._by_response else None,
            limits=self.limits,
            leave=self.leave,
        )

    def admit(self, call: Passage) -> Waiting:
        call.charger = self
        tenant = call.tenant
        if not self._by_call or tenant is None or call.caller.kind not in self._counted:
            return None
        found = self._quotas.charge_now(tenant.id, self._by_call, call.started)
        if type(found) is tuple:
            call.taken = found
            _note_shortage(call, found)
            return None
        return self._conclude(call, self._by_call, found, ChargePer.CALL)

    def read(self, call: Passage, _message: Any) -> Waiting:
        return self.charge(call, self._by_request, time.perf_counter(), ChargePer.REQUEST_MESSAGE)

    def write(self, call: Passage, _message: Any) -> Waiting:
        return self.charge(call, self._by_response, time.perf_counter(), ChargePer.RESPONSE_MESSAGE)

    def charge(self, call: Passage, charges: Sequence[Charge], now: float, per: ChargePer = ChargePer.CALL) -> Waiting:
        """Charge the call's tenant. Raises ResourceExhausted, or Unavailable where the policy says so."""
        tenant = call.tenant
        if tenant is None or call.caller.kind not in self._counted:
            return None
        return self._conclude(call, charges, self._quotas.charge_now(tenant.id, charges, now), per)

    def limits(self, call: Passage) -> Iterator[Limited]:
        if call.caller.kind is _ANONYMOUS:
            return  # a tenant's numbers are not for strangers
        for taken in call.taken:
            balance = taken.holding
            resets_in = max(0.0, balance.ends_at - time.perf_counter())
            yield Limited(balance.meter, balance.limit or 0, balance.remaining, resets_in)

    def leave(self, call: Passage) -> None:
        call.left = True  # first: a charge that completes later refunds itself
        stream = call.stream
        if call.error is None:
            if stream is not None and stream.refusal is not None:
                call.error = stream.refusal  # the handler took it for the end of the stream
            elif call.code is _OK:
                return
        if not call.taken and (stream is None or not stream.taken):
            return  # nothing to give back, as after every refusal
        outcome = outcome_of(call)
        if outcome is Outcome.SERVED:
            return
        if stream is not None and outcome is Outcome.FAILED:
            self._quotas.refund(stream.taken)
        if stream is None or not stream.cut_short or outcome is Outcome.FAILED:
            self._quotas.refund(call.taken)

    def _conclude(
        self,
        call: Passage,
        charges: Sequence[Charge],
        found: tuple[ChargeReceipt, ...] | Shortage | None,
        per: ChargePer,
    ) -> Waiting:
        if found is None:
            known = self._entitled_now(call)
            limited = [charge for charge in charges if not _unlimited(known, charge)]
            return self._ask(call, limited, per) if limited else None
        self._keep(call, found, per)
        return None

    def _entitled_now(self, call: Passage) -> Entitlements | None:
        """Return the tenant's entitlements if they are in memory. Those that a stream began with may be outdated."""
        known = None if self._entitlements is None else self._entitlements.peek(call.tenant_id)
        return known if isinstance(known, Entitlements) else None

    async def _ask(self, call: Passage, charges: Sequence[Charge], per: ChargePer) -> None:
        try:
            found = await self._quotas.charge(call.tenant_id, charges)
        except StoreUnavailable as error:
            self._do_without(call, charges, error)
            return
        if call.left and not isinstance(found, Shortage):
            self._quotas.refund(found)  # the call did not wait for it
        else:
            self._keep(call, found, per)

    def _keep(self, call: Passage, found: _Found, per: ChargePer) -> None:
        """Keep the units that the call took. Raises ResourceExhausted for a shortage."""
        if isinstance(found, Shortage):
            raise self._refusal(call, found, per)
        if per is ChargePer.CALL:
            call.taken = self._quotas.combined(call.taken, found) if call.taken else found
            _note_shortage(call, found)
        elif per is ChargePer.REQUEST_MESSAGE:
            stream = _stream_of(call)
            stream.taken = self._quotas.combined(stream.taken, found)
        # Responses that were sent stay charged.

    def _refusal(self, call: Passage, short: Shortage, per: ChargePer) -> ResourceExhausted:
        stream, refusal = _stream_of(call), _exhausted(call, short)
        stream.cut_short = self._policy.streams  # what the stream was served until now stays charged
        if per is not ChargePer.CALL:
            stream.refusal = refusal
        if call.caller.kind is not _ANONYMOUS:
            call.limited = Limited(short.meter, short.limit, 0, short.resets_in)
        return refusal

    def _do_without(self, call: Passage, charges: Sequence[Charge], error: StoreUnavailable) -> None:
        """Follow the policy where neither pool nor ledger gave the units.

        LOCAL serves what process and pool had taken in advance, as DENY does: by now that is used up. ALLOW admits only
        while the ledger is away for all tenants, since a tenant may see to it that its own questions are late.
        """
        call.degraded = True
        units = sum(charge.cost for charge in charges if not _unlimited(call.entitled, charge))
        if not units:
            return
        if self._policy.store_down is StoreDown.ALLOW and isinstance(error, StoreAway):
            self._quotas.note_uncounted(units)
            return
        raise error.refusal or _unavailable() from error


def _note_shortage(call: Passage, taken: Sequence[ChargeReceipt]) -> None:
    for receipt in taken:
        if receipt.holding.runs_short and call.caller.kind is not _ANONYMOUS:
            call.runs_short = True


def _stream_of(call: Passage) -> StreamMetering:
    stream = call.stream
    if stream is None:
        stream = call.stream = StreamMetering()
    return stream


def _unlimited(entitled: Entitlements | None, charge: Charge) -> bool:
    return entitled is not None and charge.meter in entitled.features and entitled.limit(charge.meter) is None


def _unavailable() -> Unavailable:
    return Unavailable(
        "QUOTA_UNAVAILABLE", "The rest of the tenant's allowance can't be read at the moment. Retry with backoff."
    )


def _exhausted(call: Passage, short: Shortage) -> ResourceExhausted:
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
        to_strangers=f"The tenant has used up its allowance of {short.meter}. Wait for the next period.",
    )
