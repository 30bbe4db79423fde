"""Conversions between leases and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tenantmesh.chassis.moments import duration, moment, timestamp
from tenantmesh.interceptors.quotas import Ask, Slice
from tenantmesh.tenant.v1 import quota_service_pb2 as pb

__all__ = ["asks_of", "lease_message", "period_start_of"]


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
    """Return the period in a request; None where it is unset. Raises InvalidArgument for a time that is not stored."""
    return moment(request.period_start, "period_start") if request.HasField("period_start") else None
