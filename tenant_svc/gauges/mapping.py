"""Conversions between levels and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant_svc.gauges.gauge import Gauge

__all__ = ["gauge_message"]


def gauge_message(gauge: Gauge) -> pb.Gauge:
    """Return the level as callers see it."""
    return pb.Gauge(gauge=gauge.id, level=gauge.level, limit=gauge.limit or 0, unlimited=gauge.limit is None)
