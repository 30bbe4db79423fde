"""Conversions between plans of the domain and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tenantmesh.interceptors.limits import Rate
from tenantmesh.tenant.v1 import plan_pb2, plan_service_pb2
from tenantmesh.tenant_svc.features.feature import FeatureValue
from tenantmesh.tenant_svc.features.mapping import period_message, period_of, value_message, value_of
from tenantmesh.tenant_svc.plans.difference import Difference, Direction
from tenantmesh.tenant_svc.plans.plan import NoLimit, PlanState, PlanVersion
from tenantmesh.tenant_svc.plans.rules import PlanDraft, RateDraft

__all__ = ["difference_message", "plan_draft", "plan_message", "rate_messages"]

_STATES = {state: plan_pb2.PlanState.Value(f"PLAN_STATE_{state.value}") for state in PlanState}
_DIRECTIONS = {direction: plan_service_pb2.Direction.Value(f"DIRECTION_{direction.value}") for direction in Direction}


def rate_message(name: str, rate: Rate) -> plan_pb2.PlanRate:
    """Return a burst limit as callers see it."""
    return plan_pb2.PlanRate(rate_class=name, per_second=rate.per_second, burst=rate.burst)


def rate_messages(rates: Mapping[str, Rate]) -> Iterable[plan_pb2.PlanRate]:
    """Return burst limits as callers see them, by class."""
    return [rate_message(name, rates[name]) for name in sorted(rates)]


def plan_message(plan: PlanVersion) -> plan_pb2.Plan:
    """Return the version as callers see it."""
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
        warnings=map(_warning, plan.warnings),
    )
    message.create_time.FromDatetime(plan.create_time)
    if plan.publish_time is not None:
        message.publish_time.FromDatetime(plan.publish_time)
    if plan.archive_time is not None:
        message.archive_time.FromDatetime(plan.archive_time)
    return message


def plan_draft(message: plan_pb2.Plan, plan_id: str) -> PlanDraft:
    """Return the plan of that id as the request describes it."""
    return PlanDraft(
        id=plan_id,
        display_name=message.display_name,
        features=[(feature.feature, value_of(feature.value)) for feature in message.features],
        all_features=message.all_features,
        rates=[RateDraft(rate.rate_class, rate.per_second, rate.burst) for rate in message.rates],
        billing_period=period_of(message.billing_period),
        listed=message.listed,
    )


def difference_message(difference: Difference) -> plan_service_pb2.DiffPlanVersionsResponse:
    """Return the difference as callers see it."""
    return plan_service_pb2.DiffPlanVersionsResponse(
        features=[
            plan_service_pb2.FeatureDifference(
                feature=feature.feature,
                before=_maybe_value(feature.before),
                after=_maybe_value(feature.after),
                direction=_DIRECTIONS[feature.direction],
            )
            for feature in difference.features
        ],
        rates=[
            plan_service_pb2.RateDifference(
                rate_class=rate.name,
                before=_maybe_rate(rate.name, rate.before),
                after=_maybe_rate(rate.name, rate.after),
            )
            for rate in difference.rates
        ],
        warnings=map(_warning, difference.warnings),
    )


def _warning(warning: NoLimit) -> plan_pb2.PlanWarning:
    return plan_pb2.PlanWarning(
        type=plan_pb2.PLAN_WARNING_TYPE_NO_LIMIT, feature=warning.feature, message=warning.message
    )


def _maybe_value(value: FeatureValue | None) -> plan_pb2.FeatureValue | None:
    return None if value is None else value_message(value)


def _maybe_rate(name: str, rate: Rate | None) -> plan_pb2.PlanRate | None:
    return None if rate is None else rate_message(name, rate)
