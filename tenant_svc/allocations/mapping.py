"""Conversions between reservations and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from tenantmesh.chassis.moments import time_span, timestamp
from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant_svc.allocations.allocation import Allocation, AllocationState, Mode

__all__ = ["allocation_message", "amounts_of", "mode_of", "time_to_live_of"]

_STATES = {state: pb.AllocationState.Value(f"ALLOCATION_STATE_{state.value}") for state in AllocationState}
_MODES = {pb.AllocationMode.Value(f"ALLOCATION_MODE_{mode.value}"): mode for mode in Mode}
_MODES[pb.ALLOCATION_MODE_UNSPECIFIED] = Mode.NORMAL


def amounts_of(amounts: Iterable[pb.Amount]) -> list[tuple[str, int]]:
    """Return the meters with their amounts, in the request's order."""
    return [(amount.meter, amount.amount) for amount in amounts]


def mode_of(request: pb.AllocateRequest) -> Mode | None:
    """Return the mode; None where it is unknown."""
    return _MODES.get(request.mode)


def time_to_live_of(request: pb.AllocateRequest) -> timedelta | None:
    """Return how long a reservation lasts; None where it is unset."""
    return time_span(request.time_to_live) if request.HasField("time_to_live") else None


def allocation_message(allocation: Allocation) -> pb.Allocation:
    """Return the allocation as callers see it."""
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


def _amount_messages(amounts: Sequence[tuple[str, int]]) -> list[pb.Amount]:
    return [pb.Amount(meter=meter, amount=amount) for meter, amount in amounts]
