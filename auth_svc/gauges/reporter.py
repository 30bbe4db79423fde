"""Reports gauge levels to tenant_svc in the background, at least once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

import structlog

from tenantmesh.auth_svc.gauges import repository
from tenantmesh.auth_svc.gauges.gauge import GaugeLevel
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import MeshError, Unavailable

__all__ = ["GaugeReporter", "GaugeReports"]

_log = structlog.get_logger()
_BATCH = 16
"""The number of levels that are read in one query and reported in parallel."""


class GaugeReports(Protocol):
    """The service that collects gauge levels: tenant_svc."""

    async def report(self, level: GaugeLevel) -> None:
        """Must return once the level is stored there, or is of no use any more. Must raise Unavailable when there is no
        answer, and another MeshError when the level is refused."""
        ...


class GaugeReporter:
    """Reports each level that has changed. `wake` starts a scan at once; otherwise one starts every `interval`.

    A level is reported first and marked as reported afterwards. A process that is killed in between, or a second
    process that scans at the same time, reports it twice: the version makes the repetition harmless.
    """

    def __init__(self, doors: Doors, reports: GaugeReports, *, interval: timedelta) -> None:
        self._doors = doors
        self._reports = reports
        self._interval = interval.total_seconds()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._after: GaugeLevel | None = None
        self._refused: set[tuple[str, str]] = set()

    async def start(self) -> None:
        """Start the task. Its first scan finds the levels that earlier processes have left unreported."""
        self._task = asyncio.create_task(self._run(), name="gauge-reporter")

    async def close(self) -> None:
        """Stop the task. Another process, or the next start, reports the levels that are left."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """Start a scan now, because a level may have changed."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            if self._after is None:
                self._wake.clear()  # before the scan: a change during it starts another
            try:
                more = await self._report_batch()
            except Unavailable as error:
                _log.info("levels wait to be reported", reason=error.message)
                await asyncio.sleep(self._interval)
            except Exception:
                _log.exception("levels can't be reported")
                await asyncio.sleep(self._interval)
            else:
                if not more:
                    await self._rest()

    async def _report_batch(self) -> bool:
        """Report the next levels in order, and return whether there were any. Raises Unavailable.

        The next call goes on behind them even when some failed, so that one tenant's level never delays the others.
        """
        batch = await self._next_batch()
        self._after = batch[-1] if batch else None
        outcomes = await asyncio.gather(*map(self._report, batch), return_exceptions=True)
        if failed := next((outcome for outcome in outcomes if isinstance(outcome, BaseException)), None):
            raise failed
        return bool(batch)

    async def _next_batch(self) -> Sequence[GaugeLevel]:
        async with self._doors.system("levels of any tenant may be unreported", read_only=True) as connection:
            return await repository.unreported(connection, self._after, _BATCH)

    async def _report(self, level: GaugeLevel) -> None:
        try:
            await self._reports.report(level)
        except Unavailable:
            raise
        except MeshError as refusal:
            self._log_once(level, refusal)  # the next scan finds the level again
        else:
            async with self._doors.tenant(level.tenant_id) as connection:
                await repository.mark_reported(connection, level)

    def _log_once(self, level: GaugeLevel, refusal: MeshError) -> None:
        """Log the refusal, unless this gauge was refused for the same reason before."""
        kind = (level.gauge, refusal.reason)
        if kind not in self._refused:
            self._refused.add(kind)
            _log.warning("tenant_svc refuses a level", gauge=level.gauge, reason=refusal.reason)

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._interval):
                await self._wake.wait()
