"""Notifications as reasons to look, at a bounded rate.

PostgreSQL lets every role of a database notify every channel, with any payload and as often as it likes. So what a
notification says is never believed, and a flood of them costs its readers a look every PAUSE.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["MOST_PAYLOADS", "PAUSE_SECONDS", "Coalesced"]

PAUSE_SECONDS = 0.05
MOST_PAYLOADS = 1000
"""Payloads that may rest at once. More, and longer ones than LONGEST, count as the empty one, which concerns all."""
LONGEST = 64


class Coalesced:
    """Passes on a payload at once, and each further time it comes within the pause once, at the pause's end."""

    def __init__(self, callback: Callable[[str], None], pause: float = PAUSE_SECONDS) -> None:
        self._callback = callback
        self._pause = pause
        self._resting: dict[str, bool] = {}
        """Payload → whether it has come again since it was passed on."""

    def __call__(self, payload: str) -> None:
        """Pass the payload on, now or at the end of its pause. Needs the running loop."""
        if len(payload) > LONGEST or (payload not in self._resting and len(self._resting) >= MOST_PAYLOADS):
            payload = ""
        if payload in self._resting:
            self._resting[payload] = True
            return
        self._resting[payload] = False
        asyncio.get_running_loop().call_later(self._pause, self._rested, payload)
        self._callback(payload)

    def _rested(self, payload: str) -> None:
        if self._resting.pop(payload):
            self(payload)
