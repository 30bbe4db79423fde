"""Circumstances to work entitlements out of, and strategies that draw them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.tenant_svc.balances.grant import Grant
from tenantmesh.tenant_svc.entitlements.entitlement import Circumstances, Override, PlanTerms
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue, Period, Rollout
from tenantmesh.tenant_svc.plans.plan import PlanState, PlanVersion

NOW = datetime(2026, 5, 17, 13, 30, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TENANT = TenantId(uuid.UUID(int=7))


def feature(id_: str, type_: FeatureType, *, rollout: Rollout | None = None) -> FeatureDef:
    counted = type_ in {FeatureType.METERED, FeatureType.GAUGE}
    period = Period.DAY if type_ is FeatureType.METERED else None
    return FeatureDef(id_, type_, id_, "piece" if counted else "", period, rollout, LONG_AGO, LONG_AGO, 1)


FLAG = feature("flag", FeatureType.BOOLEAN)
STATIC = feature("theme", FeatureType.STATIC)
METER = feature("calls", FeatureType.METERED)
GAUGE = feature("users", FeatureType.GAUGE)
CATALOG = {each.id: each for each in (FLAG, STATIC, METER, GAUGE)}


def plan(id_: str = "basic", /, *, all_features: bool = False, **values: FeatureValue | None) -> PlanVersion:
    """A published version of a listed plan that says these values; None says nothing."""
    return plan_with(id_, values, all_features=all_features)


def plan_with(id_: str, values: Mapping[str, FeatureValue | None], *, all_features: bool = False) -> PlanVersion:
    said = {name: value for name, value in values.items() if value is not None}
    dates = (LONG_AGO, LONG_AGO, None)
    return PlanVersion(id_, 1, PlanState.PUBLISHED, id_, said, all_features, {}, Period.MONTH, *dates, 1, True)


def grant(amount: int = 100, *, number: int = 1, **fields: Any) -> Grant:
    defaults: dict[str, Any] = {
        "id": uuid.UUID(int=number),
        "feature": METER.id,
        "amount": amount,
        "priority": 0,
        "effective_time": LONG_AGO,
        "expire_time": None,
        "max_rollover": amount,
        "min_rollover": 0,
        "reason": "",
        "balance": amount,
        "balance_period": LONG_AGO,
        "void_time": None,
        "create_time": LONG_AGO,
    }
    return Grant(**{**defaults, **fields})


def override(id_: str, value: FeatureValue, expire_time: datetime | None = None) -> Override:
    return Override(id_, value, "a favour", expire_time, LONG_AGO)


def circumstances(
    has: PlanVersion,
    *,
    state: TenantState = TenantState.ACTIVE,
    overrides: Sequence[Override] = (),
    grants: Sequence[Grant] = (),
    terms: PlanTerms | None = None,
    levels: Mapping[str, int] | None = None,
    published: Sequence[PlanVersion] = (),
    nameable: Collection[str] | None = None,
    features: Mapping[str, FeatureDef] = CATALOG,
) -> Circumstances:
    """Unless it is said which plans may be named, all that are published may."""
    names = [each.id for each in published] if nameable is None else nameable
    return Circumstances(
        tenant_id=TENANT,
        state=state,
        now=NOW,
        revision=3,
        plan=has,
        features=features,
        published=published,
        nameable=frozenset({has.id, *names}),
        overrides=overrides,
        grants=grants,
        terms=terms or PlanTerms(),
        levels=levels or {},
    )


moments = st.integers(-1000, 1000).map(lambda hours: NOW + timedelta(hours=hours))
amounts = st.integers(0, 1000)
limits = st.none() | amounts
limit_values = limits.map(FeatureValue.of_limit)
some_limits = st.none() | limit_values


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    """Grants in all states: used or not, begun or not, over or not."""
    amount = draw(st.integers(1, 1000))
    most = draw(st.integers(0, amount))
    began = draw(moments)
    return grant(
        amount,
        number=draw(st.integers(1, 2**64)),
        priority=draw(st.integers(0, 3)),
        effective_time=began,
        expire_time=draw(st.none() | moments),
        max_rollover=most,
        min_rollover=draw(st.integers(0, most)),
        balance=draw(st.integers(0, amount)),
        balance_period=Period.DAY.start_of(draw(moments)),
        void_time=draw(st.none() | moments),
        create_time=draw(moments),
    )
