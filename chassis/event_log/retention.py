"""Forgetting old events, in the background, where a setting says for how long they are kept."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

from tenantmesh.chassis.event_log.log import Prunable
from tenantmesh.interceptors.errors import Unavailable

__all__ = ["EventRetention"]

_log = logging.getLogger("tenantmesh.tenant.events")
_BATCH = 1000


class EventRetention:
    """Prunes the log every `interval`. Every process may run one: the database lets one at a time work."""

    def __init__(self, events: Prunable, *, keep: timedelta | None, interval: timedelta) -> None:
        self._events = events
        self._keep = keep
        self._interval = interval.total_seconds()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins, unless everything is kept."""
        if self._keep is not None:
            self._task = asyncio.create_task(self._run(self._keep), name=f"{self._events.name}-event-retention")

    async def close(self) -> None:
        """Stops; a batch under way is rolled back."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, keep: timedelta) -> None:
        while True:
            try:
                forgotten = await self._events.prune(keep, _BATCH)
            except Unavailable:
                forgotten = 0  # whoever serves has said so already
            except Exception:
                _log.exception("old events of the %s log can't be forgotten", self._events.name)
                forgotten = 0
            if forgotten < _BATCH:
                await asyncio.sleep(self._interval)
