"""Values and drafts between domain and contract, and page tokens."""

from __future__ import annotations

import pytest
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from tenantmesh.chassis.opaque import pack
from tenantmesh.chassis.pages import id_tokens, page_size
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import InvalidArgument
from tenantmesh.tenant.v1 import plan_pb2, plan_service_pb2
from tenantmesh.tenant_svc.features.feature import FeatureValue, Period, Rollout
from tenantmesh.tenant_svc.features.mapping import (
    feature_change,
    feature_draft,
    feature_message,
    period_message,
    value_message,
    value_of,
)
from tenantmesh.tenant_svc.plans.listing import PLAN_TOKENS
from tenantmesh.tenant_svc.plans.mapping import plan_draft, plan_message
from tests.unit.tenant_svc.plans.catalog import DARK, ON, UNLIMITED, draft, feature, limit, plan
from tests.unit.tenant_svc.plans.test_plan import values

FEATURE_TOKENS = id_tokens(b"tm.feats")
ids = st.from_regex(r"[a-z][a-z0-9_]{1,63}", fullmatch=True)


@given(values)
def test_a_value_survives_the_way_there_and_back(value: FeatureValue) -> None:
    again = value_of(plan_pb2.FeatureValue.FromString(value_message(value).SerializeToString()))
    assert again == value
    assert again is not None
    assert again.to_json() == value.to_json()


@pytest.mark.parametrize(
    "nothing",
    [
        plan_pb2.FeatureValue(),
        plan_pb2.FeatureValue(unlimited=False),
        plan_pb2.FeatureValue(static=struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)),
        plan_pb2.FeatureValue(static=struct_pb2.Value()),
    ],
)
def test_a_value_that_says_nothing_is_none(nothing: plan_pb2.FeatureValue) -> None:
    assert value_of(nothing) is None


def test_zero_and_false_say_something() -> None:
    assert value_of(plan_pb2.FeatureValue(limit=0)) == limit(0)
    assert value_of(plan_pb2.FeatureValue(enabled=False)) == FeatureValue.of_boolean(False)


def test_numbers_that_are_none_are_left_for_the_rules_to_refuse() -> None:
    for number in (float("nan"), float("inf")):
        value = value_of(plan_pb2.FeatureValue(static=struct_pb2.Value(number_value=number)))
        assert value is not None
        assert isinstance(value.static, float)


@pytest.mark.parametrize("kind", FeatureType)
def test_a_feature_is_drafted_as_it_was_answered(kind: FeatureType) -> None:
    some = feature("export", kind, Rollout(5, ("basic",)) if kind is FeatureType.BOOLEAN else None)
    again = feature_draft(feature_message(some))
    assert (again.id, again.type, again.unit, again.period, again.rollout) == (
        some.id,
        some.type,
        some.unit,
        some.period,
        some.rollout,
    )


def test_a_plan_is_drafted_as_it_was_answered() -> None:
    some = plan({"export": ON, "calls": limit(5), "seats": UNLIMITED, "theme": DARK}, rates=draft().limits)
    assert plan_draft(plan_message(some), "plus").matches(some)
    assert not plan_message(some).HasField("archive_time")


def test_an_unset_rollout_is_none_and_an_empty_one_is_nobody() -> None:
    assert feature_draft(plan_pb2.Feature()).rollout is None
    assert feature_draft(plan_pb2.Feature(rollout=plan_pb2.Rollout())).rollout == Rollout(0)


def test_kinds_from_the_future_are_none() -> None:
    future = plan_pb2.Feature.FromString(plan_pb2.Feature(id="ab").SerializeToString() + b"\x10\x63\x28\x63")
    assert (future.type, future.period) == (99, 99)
    assert (feature_draft(future).type, feature_draft(future).period) == (None, None)


def test_a_mask_comes_as_json_writes_it() -> None:
    request = json_format.ParseDict(
        {"id": "export", "feature": {"etag": "x"}, "updateMask": "displayName,rollout.basisPoints"},
        plan_service_pb2.UpdateFeatureRequest(),
    )
    change = feature_change(request)
    assert change.paths == frozenset({"display_name", "rollout.basis_points"})
    assert change.etag == "x"


def test_no_period_is_unspecified() -> None:
    assert period_message(None) == plan_pb2.PERIOD_UNSPECIFIED
    assert period_message(Period.DAY) == plan_pb2.PERIOD_DAY


@given(ids, st.integers(0, 2**31 - 1))
def test_a_token_opens_to_what_it_was_made_from(name: str, version: int) -> None:
    assert PLAN_TOKENS.open(PLAN_TOKENS.token((name, version))) == (name, version)
    assert FEATURE_TOKENS.open(FEATURE_TOKENS.token(name)) == name


def test_no_token_is_the_beginning() -> None:
    assert (PLAN_TOKENS.open(""), FEATURE_TOKENS.open("")) == (("", 0), "")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "é",
        "a" * 1000,
        FEATURE_TOKENS.token("export") + "A",
        PLAN_TOKENS.token(("plus", 1)),
        pack(b"tm.feats", b"A\x00"),
        pack(b"tm.feats", b"\xff\xfe"),
        pack(b"tm.feats", b"x" * 65),
    ],
)
def test_a_token_that_is_none_of_ours_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        FEATURE_TOKENS.open(token)
    assert [each.field for each in caught.value.violations] == ["page_token"]


@pytest.mark.parametrize("token", [FEATURE_TOKENS.token("export"), pack(b"tm.plans", b"\xff\xff\xff\xffplus")])
def test_a_plan_token_that_is_none_of_ours_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument):
        PLAN_TOKENS.open(token)


def test_page_sizes() -> None:
    assert [page_size(asked) for asked in (0, 1, 1000, 1001)] == [50, 1, 1000, 1000]
    with pytest.raises(InvalidArgument):
        page_size(-1)
