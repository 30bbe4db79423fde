"""Whether the event loop of this process moves, as other threads can tell."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

__all__ = ["Pulse"]


class Pulse:
    """Beats in the event loop. A loop that has work to do beats late; one that is stuck does not beat at all."""

    def __init__(self, interval: timedelta = timedelta(milliseconds=250)) -> None:
        self._interval = interval.total_seconds()
        self._last = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Beat from now on, in the running loop."""
        self._last = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(self._interval, self.start)

    def close(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()

    @property
    def still_for(self) -> timedelta:
        """The time since the next beat was due: zero while the loop keeps up. Any thread may read it."""
        return timedelta(seconds=max(0.0, time.monotonic() - self._last - self._interval))
