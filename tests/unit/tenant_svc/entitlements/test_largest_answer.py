"""The largest entitlements that the rules allow fit into one message, so that no tenant becomes unreadable."""

from __future__ import annotations

import dataclasses

import pytest

from tenantmesh.interceptors.backends.grpc.entitlements import read_entitlements
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import PermissionDenied
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.tenant_svc.entitlements.entitlement import effective
from tenantmesh.tenant_svc.entitlements.mapping import entitlements_message
from tenantmesh.tenant_svc.entitlements.standing import Spent, Standing
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue
from tenantmesh.tenant_svc.features.rules import MAX_CATALOG, MAX_STATIC_BYTES, static_bytes, value_problem
from tests.unit.tenant_svc.entitlements.facts import circumstances, feature, override, plan, plan_with

GRPC_LIMIT = 4 * 1024 * 1024
LARGE = FeatureValue.of_static([1] * 1365)
STATIC = MAX_STATIC_BYTES // static_bytes([LARGE])


def long_id(letter: str, number: int) -> str:
    return f"{letter}{number:04}".ljust(64, "x")


def catalog(rest: FeatureType) -> dict[str, FeatureDef]:
    """As many features as the catalog may hold: static ones for plan and overrides, and for the rest one type."""
    kinds = [FeatureType.STATIC] * 2 * STATIC + [rest] * (MAX_CATALOG - 2 * STATIC)
    made = [feature(long_id("f", number), kind) for number, kind in enumerate(kinds)]
    return {each.id: dataclasses.replace(each, unit="🙂" * 40 if each.unit else "") for each in made}


@pytest.mark.parametrize("rest", [FeatureType.BOOLEAN, FeatureType.METERED, FeatureType.GAUGE])
def test_the_largest_entitlements_fit_into_a_message(rest: FeatureType) -> None:
    features = catalog(rest)
    assert value_problem(LARGE, FeatureType.STATIC) is None
    static = [name for name, each in features.items() if each.type is FeatureType.STATIC]
    # An answer has each value twice: as what holds, and as what the plan or the override says. Where an override
    # replaces the plan's value there are three copies of two values, which is less.
    planned, overridden = dict.fromkeys(static[:STATIC], LARGE), dict.fromkeys(static[STATIC:], LARGE)
    limits = {name: FeatureValue.of_limit(LARGEST_AMOUNT) for name in features if name not in static}
    counted = limits if rest in {FeatureType.METERED, FeatureType.GAUGE} else {}
    own = plan_with(long_id("p", 0), {**planned, **counted})
    facts = circumstances(
        own,
        features=features,
        overrides=[override(name, value) for name, value in {**overridden, **counted}.items()],
        levels=dict.fromkeys(limits, LARGEST_AMOUNT + 1),
        published=[plan(long_id("p", number), all_features=True) for number in range(1, 30)],
    )
    standing = Standing(effective(facts), dict.fromkeys(limits, Spent(LARGEST_AMOUNT, LARGEST_AMOUNT)))
    message = entitlements_message(standing, with_usage=True)
    assert len(message.entitlements) == MAX_CATALOG
    assert message.ByteSize() < GRPC_LIMIT


def test_a_refusal_counts_the_plans_that_an_answer_leaves_out() -> None:
    names = [f"plan_{number:02}" for number in range(13)]
    published = [plan(name, flag=FeatureValue.of_boolean(True)) for name in names]
    answered = entitlements_message(Standing(effective(circumstances(plan(), published=published))), with_usage=False)
    (flag,) = (each for each in answered.entitlements if each.feature == "flag")
    assert (list(flag.available_in), flag.available_in_more) == (names[:10], 3)
    with pytest.raises(PermissionDenied) as caught:
        read_entitlements(answered).require("flag")
    assert (caught.value.metadata["plans"], caught.value.metadata["plans_more"]) == (",".join(names[:10]), "3")
    assert "and 3 more" in caught.value.message
