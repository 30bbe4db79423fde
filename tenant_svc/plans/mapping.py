"""Between the catalog of the domain and the messages of the contract. Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf import json_format, struct_pb2

from tenantmesh.interceptors.json_values import json_of
from tenantmesh.interceptors.limits import Rate
from tenantmesh.tenant.v1 import plan_pb2, plan_service_pb2
from tenantmesh.tenant_svc.features.features import FeatureChange
from tenantmesh.tenant_svc.plans.difference import Difference, Direction
from tenantmesh.tenant_svc.plans.plan import (
    FeatureDef,
    FeatureType,
    FeatureValue,
    Period,
    PlanState,
    PlanVersion,
    Rollout,
)
from tenantmesh.tenant_svc.plans.rules import FeatureDraft, PlanDraft, RateDraft

__all__ = [
    "difference_message",
    "feature_change",
    "feature_draft",
    "feature_message",
    "feature_type_message",
    "period_message",
    "plan_draft",
    "plan_message",
    "rate_message",
    "rate_messages",
    "value_message",
    "value_of",
]

_TYPES = {kind: plan_pb2.FeatureType.Value(f"FEATURE_TYPE_{kind.value}") for kind in FeatureType}
_PERIODS = {period: plan_pb2.Period.Value(f"PERIOD_{period.value}") for period in Period}
_STATES = {state: plan_pb2.PlanState.Value(f"PLAN_STATE_{state.value}") for state in PlanState}
_DIRECTIONS = {direction: plan_service_pb2.Direction.Value(f"DIRECTION_{direction.value}") for direction in Direction}
_TYPE_OF = {number: kind for kind, number in _TYPES.items()}
_PERIOD_OF = {number: period for period, number in _PERIODS.items()}


def feature_type_message(type_: FeatureType) -> plan_pb2.FeatureType.ValueType:
    """The type as callers see it."""
    return _TYPES[type_]


def feature_type_of(number: int) -> FeatureType | None:
    """The type in a request; None where there is none, or one from the future."""
    return _TYPE_OF.get(plan_pb2.FeatureType.ValueType(number))


def period_message(period: Period | None) -> plan_pb2.Period.ValueType:
    """The period as callers see it; unspecified where there is none."""
    return plan_pb2.PERIOD_UNSPECIFIED if period is None else _PERIODS[period]


def period_of(number: int) -> Period | None:
    """The period in a request; None where there is none, or one from the future."""
    return _PERIOD_OF.get(plan_pb2.Period.ValueType(number))


def value_message(value: FeatureValue) -> plan_pb2.FeatureValue:
    """The value as callers see it."""
    if value.enabled is not None:
        return plan_pb2.FeatureValue(enabled=value.enabled)
    if value.unlimited:
        return plan_pb2.FeatureValue(unlimited=True)
    if value.limit is not None:
        return plan_pb2.FeatureValue(limit=value.limit)
    return plan_pb2.FeatureValue(static=json_format.ParseDict(value.static, struct_pb2.Value()))


def value_of(message: plan_pb2.FeatureValue) -> FeatureValue | None:
    """The value in a request; None where it says nothing: none is set, `unlimited` is false, or `static` is null."""
    match message.WhichOneof("value"):
        case "enabled":
            return FeatureValue.of_boolean(message.enabled)
        case "limit":
            return FeatureValue.of_limit(message.limit)
        case "unlimited" if message.unlimited:
            return FeatureValue.of_limit(None)
        case "static":
            static = json_of(message.static)
            return None if static is None else FeatureValue.of_static(static)
    return None


def rate_message(name: str, rate: Rate) -> plan_pb2.PlanRate:
    """A burst limit as callers see it."""
    return plan_pb2.PlanRate(rate_class=name, per_second=rate.per_second, burst=rate.burst)


def rate_messages(rates: Mapping[str, Rate]) -> Iterable[plan_pb2.PlanRate]:
    """Burst limits as callers see them, by class."""
    return [rate_message(name, rates[name]) for name in sorted(rates)]


def feature_message(feature: FeatureDef) -> plan_pb2.Feature:
    """The feature as callers see it."""
    message = plan_pb2.Feature(
        id=feature.id,
        type=_TYPES[feature.type],
        display_name=feature.display_name,
        unit=feature.unit,
        period=period_message(feature.period),
        rollout=None if feature.rollout is None else _rollout_message(feature.rollout),
        etag=feature.etag,
    )
    message.create_time.FromDatetime(feature.create_time)
    message.update_time.FromDatetime(feature.update_time)
    return message


def _rollout_message(rollout: Rollout) -> plan_pb2.Rollout:
    return plan_pb2.Rollout(basis_points=rollout.basis_points, plan_ids=rollout.plan_ids)


def plan_message(plan: PlanVersion) -> plan_pb2.Plan:
    """The version as callers see it."""
    message = plan_pb2.Plan(
        id=plan.id,
        version=plan.version,
        state=_STATES[plan.state],
        display_name=plan.display_name,
        features=[
            plan_pb2.PlanFeature(feature=name, value=value_message(plan.features[name]))
            for name in sorted(plan.features)
        ],
        all_features=plan.all_features,
        rates=rate_messages(plan.rates),
        billing_period=period_message(plan.billing_period),
        etag=plan.etag,
        listed=plan.listed,
    )
    message.create_time.FromDatetime(plan.create_time)
    if plan.publish_time is not None:
        message.publish_time.FromDatetime(plan.publish_time)
    if plan.archive_time is not None:
        message.archive_time.FromDatetime(plan.archive_time)
    return message


def feature_draft(message: plan_pb2.Feature) -> FeatureDraft:
    """The feature as the request describes it."""
    return FeatureDraft(
        id=message.id,
        type=feature_type_of(message.type),
        display_name=message.display_name,
        unit=message.unit,
        period=period_of(message.period),
        rollout=_rollout_of(message.rollout) if message.HasField("rollout") else None,
    )


def _rollout_of(message: plan_pb2.Rollout) -> Rollout:
    return Rollout(message.basis_points, tuple(message.plan_ids))


def feature_change(request: plan_service_pb2.UpdateFeatureRequest) -> FeatureChange:
    """The change that the request asks for."""
    paths = frozenset(request.update_mask.paths)
    return FeatureChange(feature_draft(request.feature), paths, request.feature.etag)


def plan_draft(message: plan_pb2.Plan, plan_id: str) -> PlanDraft:
    """The plan of that id as the request describes it."""
    return PlanDraft(
        id=plan_id,
        display_name=message.display_name,
        features=[(each.feature, value_of(each.value)) for each in message.features],
        all_features=message.all_features,
        rates=[RateDraft(each.rate_class, each.per_second, each.burst) for each in message.rates],
        billing_period=period_of(message.billing_period),
        listed=message.listed,
    )


def difference_message(difference: Difference) -> plan_service_pb2.DiffPlanVersionsResponse:
    """What differs as callers see it."""
    return plan_service_pb2.DiffPlanVersionsResponse(
        features=[
            plan_service_pb2.FeatureDifference(
                feature=each.feature,
                before=_maybe_value(each.before),
                after=_maybe_value(each.after),
                direction=_DIRECTIONS[each.direction],
            )
            for each in difference.features
        ],
        rates=[
            plan_service_pb2.RateDifference(
                rate_class=each.name,
                before=_maybe_rate(each.name, each.before),
                after=_maybe_rate(each.name, each.after),
            )
            for each in difference.rates
        ],
    )


def _maybe_value(value: FeatureValue | None) -> plan_pb2.FeatureValue | None:
    return None if value is None else value_message(value)


def _maybe_rate(name: str, rate: Rate | None) -> plan_pb2.PlanRate | None:
    return None if rate is None else rate_message(name, rate)
