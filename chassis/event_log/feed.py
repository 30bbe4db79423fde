"""The parts with which a process follows an event log: its tail, its watch and, where it is pruned, its retention."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Generic, TypeVar

from tenantmesh.chassis.event_log.log import Event, EventLog, Prunable
from tenantmesh.chassis.event_log.retention import pruning
from tenantmesh.chassis.event_log.tail import Tail
from tenantmesh.chassis.event_log.watch import Watch
from tenantmesh.chassis.settings import EventSettings
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.health import Check

__all__ = ["Feed"]

_E = TypeVar("_E", bound=Event)


class Feed(Generic[_E]):
    """Follows one log in this process, and reads it at each notification of `channel`.

    With `prunable` and a retention in the settings, old events are pruned. Without, every event is kept.
    """

    def __init__(
        self,
        log: EventLog[_E],
        settings: EventSettings,
        database: Database,
        channel: str,
        *,
        prunable: Prunable | None = None,
    ) -> None:
        self._tail = Tail(
            log, window=settings.window, poll_interval=settings.poll_interval, lost_after=settings.lost_after
        )
        self.watch = Watch(log, self._tail, checkpoint_interval=settings.checkpoint_interval)
        self._retention = (
            pruning(prunable, keep=settings.retention, interval=settings.prune_interval)
            if prunable is not None and settings.retention is not None
            else None
        )
        self._log = log
        self._database = database
        self._channel = channel
        self._opened = AsyncExitStack()

    @property
    def check(self) -> Check:
        """The health check that fails while the log has not been read for too long."""
        return Check(f"{self._log.name} events", self._check)

    async def _check(self) -> None:
        if self._tail.lost:
            raise self._log.lost()

    async def start(self) -> None:
        """Start to follow the log. Raises Unavailable without a database."""
        await self._tail.start()
        self._opened.push_async_callback(self._tail.close)
        await self._opened.enter_async_context(self._database.listen(self._channel, self._on_event))
        if self._retention is not None:
            await self._retention.start()
            self._opened.push_async_callback(self._retention.close)

    async def close(self) -> None:
        """Stop following, even when it was never started."""
        await self._opened.aclose()

    def _on_event(self, _payload: str) -> None:
        self._tail.wake()
