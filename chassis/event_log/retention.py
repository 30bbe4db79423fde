"""Retention of an event log: prunes its oldest events in the background."""

from __future__ import annotations

from datetime import timedelta

from tenantmesh.chassis.background import Repeating
from tenantmesh.chassis.event_log.log import Prunable

__all__ = ["pruning"]

_BATCH = 1000


def pruning(events: Prunable, *, keep: timedelta, interval: timedelta) -> Repeating:
    """Make the loop that prunes events older than `keep`. Every process may run one."""

    async def prune() -> bool:
        return await events.prune(keep, _BATCH) == _BATCH

    return Repeating(f"{events.name}-event-retention", prune, interval)
