"""A transactional outbox: rows to send to another service, and the relay that sends them.

A row is written in the transaction of its effect, so it exists if and only if the effect does. The relay sends it at
least once: it marks a row as sent after the recipient has stored it, and a process that is killed in between sends it
again. The recipient must therefore recognise a repetition, by a version or an id that the row carries.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

import structlog

from tenantmesh.chassis.background import Repeating
from tenantmesh.interceptors.errors import MeshError, Unavailable

__all__ = ["Outbox", "Recipient", "Relay"]

_log = structlog.get_logger("tenantmesh.outbox")
_BATCH = 16
"""Rows of a page. They are sent concurrently."""
_LOTS = 1_000
_R = TypeVar("_R")
_R_contra = TypeVar("_R_contra", contravariant=True)


class Outbox(Protocol[_R]):
    """The rows to send. Both methods raise Unavailable while the database is away."""

    async def pending(self, after: _R | None, count: int) -> Sequence[_R]:
        """Must return at most `count` unsent rows, in a fixed order, beginning after the row `after`."""
        ...

    async def mark_sent(self, row: _R) -> None:
        """Must mark the row as sent in the state that was read. A row that has changed since is sent again."""
        ...


class Recipient(Protocol[_R_contra]):
    """The other service, which stores the rows."""

    async def send(self, row: _R_contra) -> None:
        """Must return once the other service has stored the row or no longer needs it. Must raise Unavailable when it
        does not answer, and another MeshError when it refuses the row."""
        ...


class Relay(Generic[_R]):
    """The loop that sends the rows of an outbox: at once when woken, otherwise every `interval`.

    Every process may run one. It sends rows in order, a page at a time. It logs the first refusal of each reason, goes
    on with the other rows, and sends a refused row again in the next round.
    """

    def __init__(
        self,
        name: str,
        outbox: Outbox[_R],
        recipient: Recipient[_R],
        *,
        interval: timedelta,
        delay: timedelta = timedelta(),
    ) -> None:
        """`delay` is the time from being woken to the round, on average: it lasts between a half of it and one and a
        half, by lot, so that the round's work tells nobody by its time of the call that woke it."""
        self._name = name
        self._delay = delay.total_seconds()
        self._alarm: asyncio.TimerHandle | None = None
        self._outbox = outbox
        self._recipient = recipient
        self._after: _R | None = None
        self._woken = False
        self._refused: set[str] = set()
        self._loop = Repeating(name, self._send_page, interval)
        self.start = self._loop.start

    async def close(self) -> None:
        """Stop sending. Rows that are left are sent by other processes, or after the next start."""
        if self._alarm is not None:
            self._alarm.cancel()
        await self._loop.close()

    def wake(self) -> None:
        """Start a round after the delay, or another one after the round that is under way then."""
        if not self._delay:
            self._begin()
        elif self._alarm is None:
            delay = self._delay * (1 + secrets.randbelow(_LOTS) / _LOTS - 0.5)
            self._alarm = asyncio.get_running_loop().call_later(delay, self._begin)

    def _begin(self) -> None:
        self._alarm = None
        self._woken = True
        self._loop.wake()

    async def _send_page(self) -> bool:
        """Send the next page and return whether there may be more. Raises Unavailable."""
        if self._after is None:
            self._woken = False
        page = await self._outbox.pending(self._after, _BATCH)
        self._after = page[-1] if page else None
        outcomes = await asyncio.gather(*map(self._send, page), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return bool(page) or self._woken

    async def _send(self, row: _R) -> None:
        try:
            await self._recipient.send(row)
        except Unavailable:
            raise
        except MeshError as refused:
            if refused.reason not in self._refused:
                self._refused.add(refused.reason)
                _log.warning("a row of the outbox is refused", outbox=self._name, reason=refused.reason)
        else:
            await self._outbox.mark_sent(row)
