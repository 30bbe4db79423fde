"""Features and plans in memory, for tests of what follows from them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.limits import Rate
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue, Period, Rollout
from tenantmesh.tenant_svc.features.rules import FeatureDraft
from tenantmesh.tenant_svc.plans.plan import PlanState, PlanVersion
from tenantmesh.tenant_svc.plans.rules import PlanDraft, RateDraft

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
ON, OFF = FeatureValue.of_boolean(True), FeatureValue.of_boolean(False)
DARK = FeatureValue.of_static("dark")
UNLIMITED = FeatureValue.of_limit(None)


def limit(amount: int) -> FeatureValue:
    return FeatureValue.of_limit(amount)


def feature(id_: str, type_: FeatureType = FeatureType.BOOLEAN, rollout: Rollout | None = None) -> FeatureDef:
    counted = type_ in {FeatureType.METERED, FeatureType.GAUGE}
    period = Period.DAY if type_ is FeatureType.METERED else None
    return FeatureDef(id_, type_, f"The {id_}", "piece" if counted else "", period, rollout, EPOCH, EPOCH, 1)


CATALOG = {
    each.id: each
    for each in (
        feature("calls", FeatureType.METERED),
        feature("export"),
        feature("seats", FeatureType.GAUGE),
        feature("sso"),
        feature("theme", FeatureType.STATIC),
    )
}


def plan(
    features: dict[str, FeatureValue], *, all_features: bool = False, rates: dict[str, Rate] | None = None
) -> PlanVersion:
    dates = (EPOCH, EPOCH, None)
    return PlanVersion(
        "plus", 1, PlanState.PUBLISHED, "Plus", features, all_features, rates or {}, Period.MONTH, *dates, 1, False
    )


def draft(**fields: Any) -> PlanDraft:
    """A draft that keeps the rules but for these fields."""
    good = PlanDraft(
        id="plus",
        display_name="Plus",
        features=[
            ("export", ON),
            ("calls", limit(10)),
            ("seats", UNLIMITED),
            ("theme", DARK),
        ],
        all_features=False,
        rates=[RateDraft("api", 50.0, 100)],
        billing_period=Period.MONTH,
    )
    return dataclasses.replace(good, **fields)


def feature_draft(**fields: Any) -> FeatureDraft:
    """A BOOLEAN feature that keeps the rules but for these fields."""
    good = FeatureDraft(
        id="export", type=FeatureType.BOOLEAN, display_name="Export", unit="", period=None, rollout=None
    )
    return dataclasses.replace(good, **fields)
