"""Whose calls in flight count together, how many there may be, and what a refused call holds: nothing."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace

import pytest

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.caller import ANONYMOUS, Caller
from tenantmesh.interceptors.concurrency import DEFAULT_CONCURRENCY, CallsInFlight, Concurrency, parse_concurrency
from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.interceptors.links.in_flight import InFlight
from tenantmesh.interceptors.passage import Passage
from tenantmesh.interceptors.policy import MethodPolicy, PolicyError, TenantScope, policies_of
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, TenantState
from tests.unit.interceptors.calls import call
from tests.unit.interceptors.plan_calls import bound_to

ACME, OTHER = (TenantRecord(TenantId(uuid.uuid4()), slug, TenantState.ACTIVE, "basic") for slug in ("acme", "other"))
EVERYBODY = frozenset(CallerKind)
POLICY = MethodPolicy("/x.Y/Z", EVERYBODY, tenant_scope=TenantScope.REQUIRED)
BY_FIELD = replace(POLICY, tenant_field="id")
BOUNDS = {"calls": Concurrency(per_tenant=2, overall=10, reserve=4)}


def user(tenant: TenantRecord) -> Caller:
    return Caller(CallerKind.USER, str(uuid.uuid4()), tenant_id=tenant.id)


def service(name: str = "billing") -> Caller:
    return Caller(CallerKind.SERVICE, name)


OPERATOR = Caller(CallerKind.OPERATOR, "ada")


class Entrance:
    """The link for one policy, and the calls that it lets in."""

    def __init__(self, policy: MethodPolicy = POLICY, link: InFlight | None = None) -> None:
        self.link = link or InFlight(BOUNDS)
        self.moments = bound_to(self.link, policy)
        self.policy = policy

    @property
    def counted(self) -> CallsInFlight:
        return self.link.classes[self.policy.concurrency_class]

    def enter(
        self,
        caller: Caller,
        tenant: TenantRecord | None = ACME,
        address: str = "192.0.2.1",
        *,
        named_late: bool = False,
    ) -> Passage:
        made = call(policy=self.policy, peer=f"ipv4:{address}:5000")
        made.caller, made.tenant = caller, None if named_late else tenant
        assert self.moments.enter(made) is None
        if self.moments.receive is not None:
            made.tenant = tenant
            try:
                assert self.moments.receive(made, None) is None
            except ResourceExhausted:
                self.moments.leave(made)  # as the chain does
                raise
        return made

    def refused(
        self,
        caller: Caller,
        tenant: TenantRecord | None = ACME,
        address: str = "192.0.2.1",
        *,
        named_late: bool = False,
    ) -> dict[str, str]:
        """The metadata of the refusal."""
        before = self.counted.number
        with pytest.raises(ResourceExhausted) as caught:
            self.enter(caller, tenant, address, named_late=named_late)
        assert caught.value.reason == "TOO_MANY_IN_FLIGHT"
        assert caught.value.retry_after is not None
        assert self.counted.number == before, "a refused call holds nothing"
        return caught.value.metadata


def test_users_of_a_tenant_share_its_places_and_no_other_tenants() -> None:
    entrance = Entrance()
    first, _ = (entrance.enter(user(ACME)) for _ in range(2))
    assert entrance.refused(user(ACME)) == {"class": "calls", "limit": "2", "scope": "tenant"}
    entrance.enter(user(OTHER), OTHER)
    entrance.moments.leave(first)
    entrance.enter(user(ACME))


def test_a_key_of_a_tenant_counts_as_its_users_do() -> None:
    entrance = Entrance()
    key = replace(service(), tenant_id=ACME.id)
    entrance.enter(key)
    entrance.enter(user(ACME))
    assert entrance.refused(key)["scope"] == "tenant"


def test_a_service_has_places_of_its_own_for_each_tenant() -> None:
    entrance = Entrance()
    for _ in range(2):
        entrance.enter(service())
    assert entrance.refused(service())["scope"] == "service"
    for caller, tenant in ((service(), OTHER), (service("mail"), ACME), (user(ACME), ACME)):
        entrance.enter(caller, tenant)


def test_a_tenant_that_the_request_names_is_counted_once() -> None:
    entrance = Entrance(BY_FIELD)
    calls = [entrance.enter(service(), named_late=late) for late in (True, False)]
    assert entrance.refused(service(), named_late=True)["scope"] == "service"
    assert entrance.refused(service(), named_late=False)["scope"] == "service"
    for passing in calls:
        entrance.moments.leave(passing)
    assert (entrance.counted.number, entrance.counted._lanes) == (0, {})


def test_a_call_that_is_left_before_its_request_came_frees_what_it_took() -> None:
    entrance = Entrance(BY_FIELD)
    half = call(policy=BY_FIELD)
    half.caller = service()
    entrance.moments.enter(half)
    entrance.moments.leave(half)
    assert (entrance.counted.number, entrance.counted._lanes) == (0, {})


def test_strangers_count_by_address_and_apart_from_the_users_of_the_tenant_they_name() -> None:
    entrance = Entrance()
    entrance.enter(ANONYMOUS, ACME, "192.0.2.1")
    entrance.enter(ANONYMOUS, None, "192.0.2.1")
    assert entrance.refused(ANONYMOUS, OTHER, "192.0.2.1")["scope"] == "peer"
    entrance.enter(ANONYMOUS, ACME, "192.0.2.2")
    assert entrance.refused(ANONYMOUS, ACME, "192.0.2.3")["scope"] == "tenant"
    entrance.enter(user(ACME))


def test_strangers_are_told_no_numbers_of_the_tenant() -> None:
    entrance = Entrance()
    for last in (1, 2):
        entrance.enter(ANONYMOUS, ACME, f"192.0.2.{last}")
    with pytest.raises(ResourceExhausted) as caught:
        entrance.enter(ANONYMOUS, ACME, "192.0.2.3")
    told = caught.value.told_to_strangers()
    assert told.metadata == {"scope": "tenant"}
    assert "2" not in told.message


def test_the_last_places_are_kept_for_services_and_the_very_last_for_operators() -> None:
    entrance = Entrance()
    for number in range(6):
        tenant = TenantRecord(TenantId(uuid.uuid4()), f"t-{number}", TenantState.ACTIVE, "basic")
        entrance.enter(user(tenant), tenant)
    assert entrance.refused(user(ACME)) == {"class": "calls", "limit": "6", "scope": "process"}
    assert entrance.refused(ANONYMOUS)["scope"] == "process"
    for _ in range(2):
        entrance.enter(service(), None)
    assert entrance.refused(service(), None) == {"class": "calls", "limit": "8", "scope": "process"}
    for _ in range(2):
        entrance.enter(OPERATOR)
    assert entrance.refused(OPERATOR) == {"class": "calls", "limit": "10", "scope": "process"}
    assert entrance.counted.refused == {"tenant": 0, "service": 0, "peer": 0, "process": 4}


def test_operators_are_bound_by_no_tenant() -> None:
    entrance = Entrance()
    for _ in range(10):
        entrance.enter(OPERATOR)
    assert entrance.refused(OPERATOR)["scope"] == "process"


def test_methods_of_a_class_count_together() -> None:
    link = InFlight(BOUNDS)
    one, other = Entrance(link=link), Entrance(replace(POLICY, method="/x.Y/Other"), link)
    one.enter(user(ACME))
    other.enter(user(ACME))
    assert one.refused(user(ACME))["class"] == "calls"


def test_probes_are_always_served_and_a_class_must_have_a_bound() -> None:
    link = InFlight(BOUNDS)
    assert link.bind(MethodPolicy("/grpc.health.v1.Health/Check", EVERYBODY)) is None
    with pytest.raises(PolicyError, match=r"concurrency_class 'exports' is not among \['calls'\]"):
        link.bind(replace(POLICY, concurrency_class="exports"))


def test_streams_of_reflection_count_by_address() -> None:
    (policy,) = [each for name, each in policies_of(()).items() if name.startswith("/grpc.reflection.v1.")]
    link = InFlight({"calls": Concurrency(1, 4, 0), "watches": Concurrency(1, 4, 0)})
    entrance = Entrance(policy, link)
    entrance.enter(ANONYMOUS, None)
    assert entrance.refused(ANONYMOUS, None) == {"class": "watches", "limit": "1", "scope": "peer"}
    entrance.enter(ANONYMOUS, None, "192.0.2.2")


def test_no_place_is_lost_between_threads() -> None:
    entrance = Entrance()

    def come_and_go() -> None:
        for _ in range(500):
            try:
                passing = entrance.enter(user(ACME))
            except ResourceExhausted:
                continue
            entrance.moments.leave(passing)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (entrance.counted.number, entrance.counted._lanes) == (0, {})


def test_bounds_are_written_as_three_numbers() -> None:
    parsed = parse_concurrency("calls=8/100/10, exports=1/4/0")
    assert parsed == {
        **DEFAULT_CONCURRENCY,
        "calls": Concurrency(8, 100, 10),
        "exports": Concurrency(1, 4, 0),
    }
    assert parse_concurrency("") == DEFAULT_CONCURRENCY


@pytest.mark.parametrize("wrong", ["calls", "calls=8", "calls=8/100", "calls=0/100/10", "calls=8/10/10", "=8/100/10"])
def test_a_bound_that_cant_be_kept_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="per_tenant"):
        parse_concurrency(wrong)
