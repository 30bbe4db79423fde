"""Periods, values, rollouts and etags."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.features.feature import WHOLE, FeatureValue, Period, Rollout
from tests.unit.tenant_svc.plans.catalog import CATALOG, ON, UNLIMITED, feature, limit, plan

moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
json_values = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
values = st.one_of(
    st.builds(FeatureValue.of_boolean, st.booleans()),
    st.builds(FeatureValue.of_limit, st.none() | st.integers(0, 2**53 - 1)),
    st.builds(FeatureValue.of_static, json_values),
)
tenants = st.builds(TenantId, st.uuids())


@given(moments, st.sampled_from(Period))
def test_periods_follow_each_other_without_gap_or_overlap(moment: datetime, period: Period) -> None:
    start, end = period.start_of(moment), period.end_of(moment)
    assert start <= moment < end
    assert period.start_of(start) == start
    assert period.start_of(end) == end
    assert period.end_of(end - timedelta(microseconds=1)) == end
    assert start.tzinfo is UTC


@given(moments, st.sampled_from(Period), st.integers(-14 * 60, 14 * 60))
def test_where_the_clock_hangs_does_not_matter(moment: datetime, period: Period, minutes: int) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert (period.start_of(elsewhere), period.end_of(elsewhere)) == (period.start_of(moment), period.end_of(moment))


@pytest.mark.parametrize(
    ("period", "moment", "start", "end"),
    [
        (Period.HOUR, "2026-12-31T23:59:59.999999", "2026-12-31T23:00", "2027-01-01T00:00"),
        (Period.DAY, "2028-02-28T12:00", "2028-02-28T00:00", "2028-02-29T00:00"),
        (Period.DAY, "2026-03-29T01:30", "2026-03-29T00:00", "2026-03-30T00:00"),  # a short day in much of Europe
        (Period.MONTH, "2028-02-29T23:59", "2028-02-01T00:00", "2028-03-01T00:00"),
        (Period.MONTH, "2026-12-01T00:00", "2026-12-01T00:00", "2027-01-01T00:00"),
        (Period.MONTH, "2026-01-31T00:00", "2026-01-01T00:00", "2026-02-01T00:00"),
    ],
)
def test_periods_are_those_of_the_calendar(period: Period, moment: str, start: str, end: str) -> None:
    at, starts, ends = (datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (moment, start, end))
    assert (period.start_of(at), period.end_of(at)) == (starts, ends)


@given(values)
def test_a_value_is_read_as_it_was_written(value: FeatureValue) -> None:
    assert FeatureValue.from_json(value.to_json()) == value


@given(values)
def test_a_value_is_of_one_kind(value: FeatureValue) -> None:
    kinds = [kind for kind in FeatureType if value.fits(kind)]
    assert kinds in ([FeatureType.BOOLEAN], [FeatureType.STATIC], [FeatureType.METERED, FeatureType.GAUGE])


def test_what_a_value_gives() -> None:
    assert [each.amount for each in (limit(5), UNLIMITED, limit(0), ON)] == [5, None, 0, 0]


PLACES = {
    ("export", 1): 9377,
    ("export", 2): 799,
    ("sso", 1): 550,
    ("sso", 0x0192F0A1B2C37D4E8F00112233445566): 4974,
}


@pytest.mark.parametrize(("queue", "place"), PLACES.items())
def test_a_tenants_place_in_a_queue_is_for_ever(queue: tuple[str, int], place: int) -> None:
    """Were the hash to change, tenants would lose features that they work with."""
    name, number = queue
    tenant = TenantId(uuid.UUID(int=number))
    assert Rollout(place + 1).includes(name, tenant, "basic")
    assert not Rollout(place).includes(name, tenant, "basic")


@given(tenants, st.sampled_from(["export", "sso"]), st.integers(0, WHOLE), st.integers(0, WHOLE))
def test_who_is_in_stays_in_while_the_share_grows(tenant: TenantId, name: str, one: int, other: int) -> None:
    small, large = sorted((one, other))
    if Rollout(small).includes(name, tenant, "basic"):
        assert Rollout(large).includes(name, tenant, "basic")


@given(tenants)
def test_nothing_is_nobody_and_the_whole_is_everybody(tenant: TenantId) -> None:
    assert not Rollout(0).includes("sso", tenant, "basic")
    assert Rollout(WHOLE).includes("sso", tenant, "basic")


def test_a_share_is_about_that_share_and_each_feature_has_its_own() -> None:
    everybody = [TenantId(uuid.UUID(int=number)) for number in range(10_000)]
    export = {each for each in everybody if Rollout(2500).includes("export", each, "basic")}
    sso = {each for each in everybody if Rollout(2500).includes("sso", each, "basic")}
    assert 2300 < len(export) < 2700
    assert 500 < len(export & sso) < 750, "the same tenants would always be first"


def test_a_rollout_is_for_its_plans() -> None:
    tenant = TenantId(uuid.UUID(int=1))
    some = Rollout(WHOLE, ("premium", "custom"))
    assert [some.includes("sso", tenant, each) for each in ("basic", "premium", "custom")] == [False, True, True]
    assert feature("sso", rollout=some).opened_to(tenant, "premium")
    assert not feature("sso").opened_to(tenant, "premium")


def test_what_a_plan_says_of_a_feature() -> None:
    some = plan({"calls": limit(5), "export": ON})
    assert {name: some.value_of(each) for name, each in CATALOG.items()} == {
        "calls": limit(5),
        "export": ON,
        "seats": None,
        "sso": None,
        "theme": None,
    }
    every = plan({"calls": limit(5)}, all_features=True)
    assert {name for name, each in CATALOG.items() if every.value_of(each) == ON} == {"export", "sso"}
    assert every.value_of(CATALOG["seats"]) is None
    assert every.value_of(feature("made_later")) == ON


def test_etags_are_of_one_state() -> None:
    base, other = plan({}), feature("plus")
    plans = [dataclasses.replace(base, **change) for change in ({"id": "pro"}, {"version": 2}, {"revision": 2})]
    features = [dataclasses.replace(other, **change) for change in ({"id": "pro"}, {"version": 2})]
    etags = {each.etag for each in [base, *plans]} | {each.etag for each in [other, *features]}
    assert len(etags) == 2 + len(plans) + len(features)
    assert base.etag == plan({}).etag
