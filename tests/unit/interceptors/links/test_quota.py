"""The quota link: charges at the wrong moment, without a store, and for callers who are not charged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger, MemoryQuotaPool
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.errors import Internal, ResourceExhausted, Unavailable
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.limits import StoreAway, StoreUnavailable
from tenantmesh.interceptors.links.entitlement import Entitlement
from tenantmesh.interceptors.links.quota import Quota
from tenantmesh.interceptors.passage import Passage
from tenantmesh.interceptors.policy import StoreDown, TenantScope
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT, Charge, ChargePer
from tests.unit.interceptors.plan_calls import ACME, UNLIMITED, Source, bound_to, call, entitlements, policy


class AwayLedger(MemoryQuotaLedger):
    """A ledger that answers no question about a tenant, and others as long as it is not `dead`."""

    def __init__(self, *, dead: bool = True, refusal: Unavailable | None = None) -> None:
        super().__init__(lambda *_: None)
        self._dead = dead
        self._refusal = refusal

    async def answers(self) -> bool:
        return not self._dead

    async def lease(self, *_: Any) -> Any:
        kind = StoreUnavailable if self._refusal is None else StoreAway
        raise kind("away", self._refusal)


async def test_what_is_charged_after_the_call_is_over_is_given_back() -> None:
    of = policy(meters=(Charge("reads", 5),))
    quotas = LeasedQuota(MemoryQuotaLedger(lambda *_: 100), MemoryQuotaPool())
    bound = bound_to(Quota(quotas, EntitlementDirectory(Source())), of)
    made = call(of)
    pending = bound.admit(made)
    assert pending is not None
    bound.leave(made)  # as when a thread has stopped waiting
    await pending
    assert quotas.held(ACME.id, "reads") == 5
    assert not made.taken
    await quotas.close()


async def test_a_stream_that_began_unlimited_is_charged_when_that_is_over() -> None:
    of = policy(meters=(Charge("reads", 1, ChargePer.REQUEST_MESSAGE),))
    source = Source()
    directory, quotas = EntitlementDirectory(source), LeasedQuota(MemoryQuotaLedger(source.limit))
    source.set(replace(entitlements(reads=0), features={"reads": UNLIMITED}, valid_for=timedelta(seconds=0.1)))
    await directory.find(ACME.id)
    bound = bound_to(Quota(quotas, directory), of)
    gate = bound_to(Entitlement(directory), of)
    made = call(of)
    gate.admit(made)
    bound.admit(made)
    assert bound.read(made, None) is None
    source.set(entitlements(reads=0))  # and no watch tells of it
    await asyncio.sleep(0.1)
    pending = bound.read(made, None)
    assert pending is not None
    with pytest.raises(ResourceExhausted):
        await pending


COST = 7
KEY_REFUSED = Unavailable("MESH_KEY_REFUSED", "tenant_svc refuses the key of the service that was called.")
AWAY = AwayLedger()
LATE = AwayLedger(dead=False)
REFUSING = AwayLedger(refusal=KEY_REFUSED)


@pytest.mark.parametrize(
    ("store_down", "ledger", "outcome"),
    [
        (StoreDown.DENY, AWAY, "QUOTA_UNAVAILABLE"),
        (StoreDown.LOCAL, AWAY, "QUOTA_UNAVAILABLE"),
        (StoreDown.ALLOW, AWAY, "served"),
        (StoreDown.DENY, LATE, "QUOTA_UNAVAILABLE"),
        (StoreDown.LOCAL, LATE, "QUOTA_UNAVAILABLE"),
        (StoreDown.ALLOW, LATE, "QUOTA_UNAVAILABLE"),
        (StoreDown.DENY, REFUSING, "MESH_KEY_REFUSED"),
        (StoreDown.LOCAL, REFUSING, "MESH_KEY_REFUSED"),
        (StoreDown.ALLOW, REFUSING, "served"),
    ],
    ids=lambda each: (
        {AWAY: "away", LATE: "late for the tenant", REFUSING: "key refused"}.get(each)
        if isinstance(each, AwayLedger)
        else getattr(each, "name", each)
    ),
)
async def test_without_units_a_method_does_what_its_policy_says(
    store_down: StoreDown, ledger: AwayLedger, outcome: str
) -> None:
    """Only ALLOW admits without units, and only where no tenant can have brought that about."""
    of, quotas = policy(meters=(Charge("reads", COST),), store_down=store_down), LeasedQuota(ledger)
    bound = bound_to(Quota(quotas, EntitlementDirectory(Source())), of)
    for _ in range(3):
        made = call(of)
        made.entitled = entitlements(reads=1_000_000)
        pending = bound.admit(made)
        assert pending is not None
        try:
            await pending
            found = "served"
        except Unavailable as error:
            found = error.reason
        assert (found, made.degraded) == (outcome, True)
    assert quotas.stats.uncounted == (3 * COST if outcome == "served" else 0)


@pytest.mark.parametrize("store_down", list(StoreDown))
async def test_a_meter_that_is_used_up_is_refused_as_that_in_an_outage(
    store_down: StoreDown, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = policy(meters=(Charge("reads"),), store_down=store_down)
    quotas = LeasedQuota(MemoryQuotaLedger(lambda *_: 5), MemoryQuotaPool())
    bound = bound_to(Quota(quotas, EntitlementDirectory(Source())), of)

    async def admitted() -> None:
        pending = bound.admit(call(of))
        if pending is not None:
            await pending

    for _ in range(5):
        await admitted()
    monkeypatch.setattr(MemoryQuotaLedger, "lease", AWAY.lease)
    monkeypatch.setattr(MemoryQuotaLedger, "answers", AWAY.answers)
    for _ in range(3):
        with pytest.raises(ResourceExhausted, match="used up"):
            await admitted()
    await quotas.close()


async def test_what_was_unlimited_stays_so_while_nobody_can_be_asked() -> None:
    of = policy(meters=(Charge("reads"),))
    quotas = LeasedQuota(AwayLedger())
    bound = bound_to(Quota(quotas, EntitlementDirectory(Source())), of)
    made = call(of)
    made.entitled = replace(entitlements(reads=0), features={"reads": UNLIMITED})
    pending = bound.admit(made)
    assert pending is not None
    await pending
    assert made.degraded


async def test_operators_and_calls_without_a_tenant_are_not_charged() -> None:
    of = policy(meters=(Charge("reads", 5),), tenant_scope=TenantScope.OPTIONAL)
    quotas = LeasedQuota(MemoryQuotaLedger(lambda *_: 100))
    bound = bound_to(Quota(quotas, EntitlementDirectory(Source())), of)
    for made in (call(of, Caller(CallerKind.OPERATOR, "root")), call(of, tenant=None)):
        assert bound.admit(made) is None
        bound.leave(made)
    assert quotas.stats.waited == quotas.stats.charged_here == 0


def test_a_handler_is_told_what_its_chain_lacks() -> None:
    made = call(policy())
    with pytest.raises(Internal, match="without the port `entitlements`"):
        _ = made.entitlements
    with pytest.raises(Internal, match="without the port `quotas`"):
        made.begin_charge("reads", 1)
    with pytest.raises(Internal, match="in its event loop"):
        made.charge_blocking("reads", 1)


class Charges:
    """Charges whatever it is asked for."""

    def __init__(self) -> None:
        self.seen: list[Charge] = []

    def charge(self, _call: Passage, charges: Sequence[Charge], _now: float) -> None:
        self.seen += charges


def test_a_handler_is_told_which_amounts_can_be_charged() -> None:
    made = call(policy())
    made.charger = Charges()
    made.begin_charge("reads", LARGEST_AMOUNT)
    with pytest.raises(Internal, match="charge in parts"):
        made.begin_charge("reads", LARGEST_AMOUNT + 1)
    with pytest.raises(Internal, match="negative"):
        made.begin_charge("reads", -1)
    assert [charge.cost for charge in made.charger.seen] == [LARGEST_AMOUNT]


async def test_a_refused_call_leaves_no_work_behind() -> None:
    of = policy(meters=(Charge("reads"),))
    quotas = LeasedQuota(MemoryQuotaLedger(lambda *_: 0))
    bound = bound_to(Quota(quotas, EntitlementDirectory(Source())), of)
    made = call(of)
    made.entitled = entitlements(reads=0)
    pending = bound.admit(made)
    assert pending is not None
    with pytest.raises(ResourceExhausted) as refused:
        await pending
    made.error = refused.value
    others = asyncio.all_tasks()
    bound.leave(made)
    assert asyncio.all_tasks() == others
