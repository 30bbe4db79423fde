"""A circuit breaker: after `failures` failures within `window`, it refuses callers at once for `pause`.

Closed → open after `failures` within `window` → after `pause` one caller probes (half-open) → closed, or open again.
Not here: which exceptions are failures; the caller of `failed` knows.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

__all__ = ["Breaker"]


class Breaker:
    """Ask `admits` before a call; report `succeeded`, `failed` or `abandoned` after each call it admitted."""

    def __init__(
        self, *, failures: int, window: timedelta, pause: timedelta, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._recent: deque[float] = deque(maxlen=failures)
        self._window = window.total_seconds()
        self._pause = pause.total_seconds()
        self._clock = clock
        self._open_until: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether callers are refused, but for a probe."""
        return self._open_until is not None

    def admits(self) -> bool:
        """Return whether a call may be made now. While open, at most one call at a time is a probe."""
        if self._open_until is None:
            return True
        if self._probing or self._clock() < self._open_until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Close: the other side answered."""
        if self._open_until is not None:
            self._open_until = None
            self._probing = False
            self._recent.clear()

    def failed(self) -> None:
        """Count a failure; open when there were enough within the window, or when it was the probe's."""
        now = self._clock()
        self._recent.append(now)
        full = len(self._recent) == self._recent.maxlen and now - self._recent[0] <= self._window
        if full or self._open_until is not None:
            self._open_until = now + self._pause
            self._probing = False

    def abandoned(self) -> None:
        """Note that a call ended without an answer, by its caller's will: it proves nothing."""
        self._probing = False
