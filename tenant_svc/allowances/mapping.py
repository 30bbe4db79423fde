"""Between quotas and the messages of the contract. Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from tenantmesh.chassis.moments import duration, timestamp
from tenantmesh.interceptors.quotas import Ask, Slice
from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant_svc.allocations.allocation import Allocation, AllocationState, Mode
from tenantmesh.tenant_svc.gauges.gauge import Gauge

__all__ = [
    "allocation_message",
    "amounts_of",
    "asks_of",
    "gauge_message",
    "lease_message",
    "mode_of",
    "period_start_of",
    "time_to_live_of",
]

_STATES = {state: pb.AllocationState.Value(f"ALLOCATION_STATE_{state.value}") for state in AllocationState}
_MODES = {pb.AllocationMode.Value(f"ALLOCATION_MODE_{mode.value}"): mode for mode in Mode}
_MODES[pb.ALLOCATION_MODE_UNSPECIFIED] = Mode.NORMAL
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def asks_of(request: pb.LeaseRequest) -> list[Ask]:
    """What is asked of each meter."""
    return [Ask(ask.meter, ask.want, ask.need) for ask in request.asks]


def lease_message(slices: Iterable[Slice]) -> pb.LeaseResponse:
    """What was taken."""
    return pb.LeaseResponse(slices=[_slice_message(each) for each in slices])


def _slice_message(each: Slice) -> pb.LeaseSlice:
    return pb.LeaseSlice(
        meter=each.meter,
        granted=each.granted,
        left=each.left,
        limit=each.limit or 0,
        unlimited=each.limit is None,
        period_start=timestamp(each.period_start),
        ends_in=duration(each.ends_in),
    )


def period_start_of(request: pb.ReturnRequest) -> datetime | None:
    """The period in a request; None where there is none, or none in the years that can be counted."""
    if not request.HasField("period_start"):
        return None
    stamp = request.period_start
    try:
        return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)
    except OverflowError:
        return None


def amounts_of(amounts: Iterable[pb.Amount]) -> list[tuple[str, int]]:
    """Meters with amounts, in the request's order."""
    return [(each.meter, each.amount) for each in amounts]


def mode_of(request: pb.AllocateRequest) -> Mode | None:
    """The mode; None for one from the future."""
    return _MODES.get(request.mode)


def time_to_live_of(request: pb.AllocateRequest) -> timedelta | None:
    """How long a reservation lasts; None where nothing is said."""
    if not request.HasField("time_to_live"):
        return None
    lasts = request.time_to_live
    try:
        return timedelta(seconds=lasts.seconds, microseconds=lasts.nanos // 1000)
    except OverflowError:
        return timedelta.max


def allocation_message(allocation: Allocation) -> pb.Allocation:
    """The allocation as callers see it."""
    items = allocation.items
    made = pb.Allocation(
        id="" if allocation.id is None else str(allocation.id),
        state=_STATES[allocation.state],
        allocated=_amount_messages([(item.meter, item.allocated) for item in items]),
    )
    if allocation.state is AllocationState.COMMITTED:
        made.committed.extend(_amount_messages([(item.meter, item.committed) for item in items]))
    if allocation.expire_time is not None:
        made.expire_time.CopyFrom(timestamp(allocation.expire_time))
    if allocation.create_time is not None:
        made.create_time.CopyFrom(timestamp(allocation.create_time))
    return made


def gauge_message(gauge: Gauge) -> pb.Gauge:
    """The level as callers see it."""
    return pb.Gauge(gauge=gauge.id, level=gauge.level, limit=gauge.limit or 0, unlimited=gauge.limit is None)


def _amount_messages(amounts: Sequence[tuple[str, int]]) -> list[pb.Amount]:
    return [pb.Amount(meter=meter, amount=amount) for meter, amount in amounts]
