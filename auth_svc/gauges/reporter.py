"""Telling tenant_svc where levels stand, in the background, at least once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

from tenantmesh.auth_svc.gauges.gauge import Level
from tenantmesh.interceptors.errors import MeshError, Unavailable

__all__ = ["GaugeReporter", "LevelStore", "Reports"]

_log = logging.getLogger("tenantmesh.auth.gauges")
_BATCH = 16
"""How many levels are read, and told at the same time."""


class LevelStore(Protocol):
    """Keeps levels, and how far they have been told."""

    async def unreported(self, after: Level | None, count: int) -> Sequence[Level]:
        """Must return levels that have not been told as they are now, ordered, beginning behind `after`. Raises
        Unavailable."""
        ...

    async def reported(self, told: Level) -> None:
        """Must remember that this version was told. Raises Unavailable."""
        ...


class Reports(Protocol):
    """Takes levels: tenant_svc."""

    async def report(self, level: Level) -> None:
        """Must return once the level is known there, or can't matter any more. Must raise Unavailable when there is no
        answer, and another MeshError when there is one and it is no."""
        ...


class GaugeReporter:
    """Tells each level that has changed; `wake` makes it look at once, otherwise it looks every `interval`.

    A level is told before it is noted as told, so a process that is killed in between, and a second process that looks
    at the same time, tell it twice: versions make that harmless.
    """

    def __init__(self, levels: LevelStore, reports: Reports, *, interval: timedelta) -> None:
        self._levels = levels
        self._reports = reports
        self._interval = interval.total_seconds()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._after: Level | None = None
        self._refused: set[tuple[str, str]] = set()

    async def start(self) -> None:
        """Begins, with what was left untold before."""
        self._task = asyncio.create_task(self._run(), name="gauge-reporter")

    async def close(self) -> None:
        """Stops. What is left is told by another process, or after the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """A level may have changed: look now."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            if self._after is None:
                self._wake.clear()  # before looking: what changes meanwhile wakes us again
            try:
                more = await self._tell_page()
            except Unavailable as error:
                _log.info("levels wait to be reported: %s", error.message)
                await asyncio.sleep(self._interval)
            except Exception:
                _log.exception("levels can't be reported")
                await asyncio.sleep(self._interval)
            else:
                if not more:
                    await self._rest()

    async def _tell_page(self) -> bool:
        """Tells the next levels in order, whatever became of those before, so that none keeps the others waiting.
        False: there are no more. Raises Unavailable."""
        page = await self._levels.unreported(self._after, _BATCH)
        self._after = page[-1] if page else None
        outcomes = await asyncio.gather(*map(self._tell, page), return_exceptions=True)
        if failed := next((each for each in outcomes if isinstance(each, BaseException)), None):
            raise failed
        return bool(page)

    async def _tell(self, level: Level) -> None:
        try:
            await self._reports.report(level)
        except Unavailable:
            raise
        except MeshError as refused:
            self._note(level, refused)  # its turn comes again
        else:
            await self._levels.reported(level)

    def _note(self, level: Level, refused: MeshError) -> None:
        """Logs each kind of refusal once."""
        kind = (level.gauge, refused.reason)
        if kind not in self._refused:
            self._refused.add(kind)
            _log.warning("tenant_svc takes no level of %s: %s", *kind)

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._interval):
                await self._wake.wait()
