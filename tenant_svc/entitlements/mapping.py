"""Conversions between entitlements of the domain and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from tenantmesh.chassis.moments import duration, timestamp
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.names import MOST_NAMED
from tenantmesh.tenant.v1 import entitlement_pb2
from tenantmesh.tenant_svc.entitlements.entitlement import Effective, Source
from tenantmesh.tenant_svc.entitlements.standing import Standing, Usage
from tenantmesh.tenant_svc.features.mapping import feature_type_message, period_message, value_message
from tenantmesh.tenant_svc.plans.mapping import rate_messages

__all__ = ["entitlement_message", "entitlements_message"]

_SOURCES = {source: entitlement_pb2.EntitlementSource.Value(f"ENTITLEMENT_SOURCE_{source.value}") for source in Source}


def entitlements_message(standing: Standing, *, with_usage: bool) -> entitlement_pb2.Entitlements:
    """Return all entitlements of a tenant as callers see them."""
    found = standing.entitlements
    message = entitlement_pb2.Entitlements(
        tenant_id=str(found.tenant_id),
        plan_id=found.plan.id,
        plan_version=found.plan.version,
        revision=found.revision,
        entitlements=[
            entitlement_message(entitled, standing.usage(entitled) if with_usage else None)
            for entitled in found.features.values()
        ],
        rates=rate_messages(found.rates),
        over_limit=found.over_limit,
        read_only=found.read_only,
    )
    if found.valid_for is not None:
        message.valid_for.CopyFrom(duration(found.valid_for))
    return message


def entitlement_message(entitled: Effective, usage: Usage | None) -> entitlement_pb2.Entitlement:
    """Return one feature of a tenant as callers see it, with its usage where that is known."""
    feature = entitled.feature
    message = entitlement_pb2.Entitlement(
        feature=feature.id,
        type=feature_type_message(feature.type),
        source=_SOURCES[entitled.source],
        available_in=entitled.available_in[:MOST_NAMED],
        available_in_more=len(entitled.available_in[MOST_NAMED:]),
        period=period_message(feature.period),
        unit=feature.unit,
        enabled=entitled.enabled,
    )
    if entitled.value is not None:
        message.value.CopyFrom(value_message(entitled.value))
    if entitled.plan_value is not None:
        message.plan_value.CopyFrom(value_message(entitled.plan_value))
    if entitled.override is not None:
        message.override_value.CopyFrom(value_message(entitled.override.value))
    if feature.type is FeatureType.METERED:
        message.granted = entitled.granted
    if usage is not None:
        message.usage.CopyFrom(_usage_message(usage))
    return message


def _usage_message(usage: Usage) -> entitlement_pb2.Usage:
    return entitlement_pb2.Usage(
        used=usage.used,
        limit=usage.limit or 0,
        unlimited=usage.limit is None,
        remaining=usage.remaining or 0,
        period_start=None if usage.period_start is None else timestamp(usage.period_start),
        reset_time=None if usage.reset_time is None else timestamp(usage.reset_time),
    )
