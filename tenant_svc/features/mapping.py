"""Conversions between features of the domain and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from google.protobuf import json_format, struct_pb2

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.json_values import json_of
from tenantmesh.tenant.v1 import plan_pb2, plan_service_pb2
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue, Period, Rollout
from tenantmesh.tenant_svc.features.features import FeatureChange
from tenantmesh.tenant_svc.features.rules import FeatureDraft

__all__ = [
    "feature_change",
    "feature_draft",
    "feature_message",
    "feature_type_message",
    "period_message",
    "period_of",
    "value_message",
    "value_of",
]

_TYPES = {kind: plan_pb2.FeatureType.Value(f"FEATURE_TYPE_{kind.value}") for kind in FeatureType}
_PERIODS = {period: plan_pb2.Period.Value(f"PERIOD_{period.value}") for period in Period}
_TYPE_OF = {number: kind for kind, number in _TYPES.items()}
_PERIOD_OF = {number: period for period, number in _PERIODS.items()}


def feature_type_message(feature_type: FeatureType) -> plan_pb2.FeatureType.ValueType:
    """Return the type as callers see it."""
    return _TYPES[feature_type]


def feature_type_of(number: int) -> FeatureType | None:
    """Return the type in a request; None where it is unset or unknown."""
    return _TYPE_OF.get(plan_pb2.FeatureType.ValueType(number))


def period_message(period: Period | None) -> plan_pb2.Period.ValueType:
    """Return the period as callers see it; unspecified without one."""
    return plan_pb2.PERIOD_UNSPECIFIED if period is None else _PERIODS[period]


def period_of(number: int) -> Period | None:
    """Return the period in a request; None where it is unset or unknown."""
    return _PERIOD_OF.get(plan_pb2.Period.ValueType(number))


def value_message(value: FeatureValue) -> plan_pb2.FeatureValue:
    """Return the value as callers see it."""
    if value.enabled is not None:
        return plan_pb2.FeatureValue(enabled=value.enabled)
    if value.unlimited:
        return plan_pb2.FeatureValue(unlimited=True)
    if value.limit is not None:
        return plan_pb2.FeatureValue(limit=value.limit)
    return plan_pb2.FeatureValue(static=json_format.ParseDict(value.static, struct_pb2.Value()))


def value_of(message: plan_pb2.FeatureValue) -> FeatureValue | None:
    """Return the value in a request; None where none is set, `unlimited` is false, or `static` is null."""
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


def feature_message(feature: FeatureDef) -> plan_pb2.Feature:
    """Return the feature as callers see it."""
    message = plan_pb2.Feature(
        id=feature.id,
        type=_TYPES[feature.type],
        display_name=feature.display_name,
        unit=feature.unit,
        period=period_message(feature.period),
        rollout=None if feature.rollout is None else _rollout_message(feature.rollout),
        etag=feature.etag,
        owner=feature.owner,
    )
    message.create_time.FromDatetime(feature.create_time)
    message.update_time.FromDatetime(feature.update_time)
    return message


def _rollout_message(rollout: Rollout) -> plan_pb2.Rollout:
    return plan_pb2.Rollout(basis_points=rollout.basis_points, plan_ids=rollout.plan_ids)


def feature_draft(message: plan_pb2.Feature) -> FeatureDraft:
    """Return the feature as the request describes it."""
    return FeatureDraft(
        id=message.id,
        type=feature_type_of(message.type),
        display_name=message.display_name,
        unit=message.unit,
        period=period_of(message.period),
        rollout=_rollout_of(message.rollout) if message.HasField("rollout") else None,
        owner=message.owner,
    )


def _rollout_of(message: plan_pb2.Rollout) -> Rollout:
    return Rollout(message.basis_points, tuple(message.plan_ids))


def feature_change(request: plan_service_pb2.UpdateFeatureRequest) -> FeatureChange:
    """Return the change that the request asks for."""
    paths = frozenset(request.update_mask.paths)
    return FeatureChange(feature_draft(request.feature), paths, request.feature.etag)
