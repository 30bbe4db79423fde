"""What quotas do by themselves, in the background: reservations end, and what is older
than is promised is forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from tenantmesh.interceptors.errors import Unavailable

__all__ = ["Sweeper"]

_log = logging.getLogger("tenantmesh.tenant.quotas")


class Sweeper:
    """Does a piece of work again and again: at once while there is more, else every `interval`. Every process may run
    the same ones."""

    def __init__(self, name: str, work: Callable[[], Awaitable[int]], interval: timedelta) -> None:
        self._name = name
        self._work = work
        self._interval = interval.total_seconds()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Stops; what is under way is rolled back."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            if not await self._done():
                await asyncio.sleep(self._interval)

    async def _done(self) -> int:
        try:
            return await self._work()
        except Unavailable:
            return 0  # whoever serves has said so already
        except Exception:
            _log.exception("%s failed", self._name)
            return 0
