"""Conversions between leases and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from tenantmesh.chassis.moments import duration, timestamp
from tenantmesh.interceptors.quotas import Ask, Slice
from tenantmesh.tenant.v1 import quota_service_pb2 as pb

__all__ = ["asks_of", "lease_message", "period_start_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def asks_of(request: pb.LeaseRequest) -> list[Ask]:
    """Return the asks of a request."""
    return [Ask(ask.meter, ask.want, ask.need) for ask in request.asks]


def lease_message(slices: Iterable[Slice]) -> pb.LeaseResponse:
    """Return the slices as callers see them."""
    return pb.LeaseResponse(slices=[_slice_message(leased) for leased in slices])


def _slice_message(leased: Slice) -> pb.LeaseSlice:
    return pb.LeaseSlice(
        meter=leased.meter,
        granted=leased.granted,
        left=leased.left,
        limit=leased.limit or 0,
        unlimited=leased.limit is None,
        period_start=timestamp(leased.period_start),
        ends_in=duration(leased.ends_in),
    )


def period_start_of(request: pb.ReturnRequest) -> datetime | None:
    """Return the period in a request; None where it is unset, or outside the years 1 to 9999."""
    if not request.HasField("period_start"):
        return None
    stamp = request.period_start
    try:
        return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)
    except OverflowError:
        return None
