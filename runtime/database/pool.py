"""Connections, kept and handed out: last in, first out, bounded, shared fairly, dead and old ones replaced.

asyncpg's own pool resets a connection by an extra round trip and wraps it in a proxy; measured, that is a third of the
cost of a short transaction. Here the first message of each transaction resets the session instead (`transaction`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg

from tenantmesh.runtime.database.errors import DatabaseUnavailable, ShareInUse, translated
from tenantmesh.runtime.database.lifetimes import lifetime
from tenantmesh.runtime.fair_queue import FairQueue

__all__ = ["Pool", "PoolShares", "RawConnection"]

_CLOSE_SECONDS = 1.0

if TYPE_CHECKING:
    RawConnection = asyncpg.Connection[asyncpg.Record]
else:  # asyncpg's classes are generic for type checkers only
    RawConnection = asyncpg.Connection

_Turn = asyncio.Future[RawConnection | None]
"""A caller waits for a connection, or for None, the right to open one."""


@dataclass(frozen=True, slots=True)
class PoolShares:
    """How holders share a pool.

    share: the part of what others leave that one holder may have in use. With a half of ten connections the first
        takes five at most, a second one three, and the last two go to a third and a fourth.
    waiting: callers that wait, in all.
    holder_waiting: callers of one holder that wait.
    """

    share: float = 0.5
    waiting: int = 1_000
    holder_waiting: int = 100


@dataclass(slots=True)
class PoolCounts:
    """Callers who got no connection: no place in the queue was left for their holder, or none came in time."""

    refused: int = 0
    expired: int = 0


class Pool:
    """At most `size` connections. Every `acquire` is followed by exactly one `release` or `discard`.

    Each connection in use has a holder, any key. A holder has one connection whenever one is free, and further ones up
    to its share. The share always holds: connections that a holder had taken while nobody else wanted them would be
    missing for as long as its statements run. Callers who wait are served in turn by holder.

    A connection serves for `age`, less up to a quarter by lot, so that not all end at once. The next one goes where the
    address leads by then.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[RawConnection]],
        *,
        size: int,
        timeout: timedelta,
        shares: PoolShares = PoolShares(),
        age: timedelta = timedelta(minutes=15),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = PoolCounts()
        self._connect = connect
        self._age = age
        self._clock = clock
        self._ends: dict[RawConnection, float] = {}
        """The connections that exist, and when each is old."""
        self._limit = size
        self._timeout = timeout.total_seconds()
        self._share = shares.share
        self._idle: list[RawConnection] = []
        self._holders: dict[RawConnection, Hashable] = {}
        self._held: dict[Hashable, int] = {}
        """How many connections each holder has in use, or is about to open."""
        self._turns: FairQueue[_Turn] = FairQueue(places=shares.waiting, lane_places=shares.holder_waiting)
        self._closing: set[asyncio.Task[None]] = set()
        self._slots = 0  # connections that exist, are being made or are being closed
        self._closed = False

    @property
    def in_use(self) -> int:
        """How many connections are in use, being made or being closed."""
        return self._slots - len(self._idle)

    @property
    def waiting(self) -> int:
        """How many callers wait."""
        return len(self._turns)

    async def acquire(self, holder: Hashable) -> RawConnection:
        """Return an open connection.

        Raises ShareInUse when the holder has its share in use and none of it comes back in time, or too many callers
        wait already; DatabaseUnavailable when no connection is free in time or none can be made.
        """
        if self._closed:
            raise DatabaseUnavailable("the database door is closed")
        if not (self._has_room() and self._may_take(holder)):
            return await self._wait(holder)
        connection = self._take(holder)
        return connection if connection is not None else await self._open(holder)

    def release(self, connection: RawConnection) -> None:
        """Take back a connection that is outside a transaction."""
        self._forget_holder(self._holders.pop(connection))
        if connection.is_closed():
            del self._ends[connection]
            self._slots -= 1
        elif self._closed or self._clock() >= self._ends[connection]:
            self.discard(connection)
        else:
            self._idle.append(connection)
        if self._turns:
            self._serve()

    def discard(self, connection: RawConnection) -> None:
        """Close a connection whose state is unknown. Its place becomes free, and its holder has one less, once the
        server let go of it."""
        task = asyncio.get_running_loop().create_task(self._close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def discard_idle(self) -> None:
        """Close all idle connections: one of them met a server that is gone, so the others will."""
        idle, self._idle = self._idle, []
        for connection in idle:
            self.discard(connection)

    async def close(self) -> None:
        """Refuse new callers and those who wait, close idle connections and wait for those being closed."""
        self._closed = True
        while waiting := self._turns.pop():
            _refuse(waiting[1], DatabaseUnavailable("the database door is closed"))
        self.discard_idle()
        if self._closing:
            await asyncio.wait(self._closing)

    def _has_room(self) -> bool:
        """Return whether there is an idle connection, which is then on top and good, or a place for a new one."""
        while self._idle:
            connection = self._idle[-1]
            if connection.is_closed():
                del self._ends[self._idle.pop()]
                self._slots -= 1
            elif self._clock() >= self._ends[connection]:
                self.discard(self._idle.pop())
            else:
                return True
        return self._slots < self._limit

    def _may_take(self, holder: Hashable) -> bool:
        held = self._held.get(holder)
        return held is None or held < self._share * (self._limit - self._slots + len(self._idle) + held)

    def _take(self, holder: Hashable) -> RawConnection | None:
        """Take an idle connection, or the place for a new one, where there is room."""
        self._held[holder] = self._held.get(holder, 0) + 1
        if not self._idle:
            self._slots += 1
            return None
        connection = self._idle.pop()
        self._holders[connection] = holder
        return connection

    async def _open(self, holder: Hashable) -> RawConnection:
        try:
            if self._closed:
                raise DatabaseUnavailable("the database door is closed")
            connection = await self._connect()
        except BaseException as error:
            self._vacate(holder)
            if isinstance(error, Exception):
                raise translated(error) from error
            raise
        self._ends[connection] = self._clock() + lifetime(self._age)
        self._holders[connection] = holder
        return connection

    async def _wait(self, holder: Hashable) -> RawConnection:
        loop = asyncio.get_running_loop()
        turn: _Turn = loop.create_future()
        self._join(turn, holder)
        timer = loop.call_later(self._timeout, self._expire, turn, holder)
        try:
            connection = await turn
        except asyncio.CancelledError:
            self._leave(turn, holder)
            raise
        finally:
            timer.cancel()
        return connection if connection is not None else await self._open(holder)

    def _join(self, turn: _Turn, holder: Hashable) -> None:
        """Give the caller a place in the queue. Raises ShareInUse, or has it raised where another one loses its own."""
        refused = self._turns.add(turn, holder)
        if refused is None:
            return
        self.counts.refused += 1
        error = ShareInUse("too many callers of this holder wait for a connection")
        if refused is turn:
            raise error
        _refuse(refused, error)

    def _expire(self, turn: _Turn, holder: Hashable) -> None:
        if turn.done():
            return
        self._turns.discard(turn, holder)
        self.counts.expired += 1
        if self._has_room():
            turn.set_exception(ShareInUse("the holder's share of the connections is in use"))
        else:
            turn.set_exception(DatabaseUnavailable("all connections to the database are in use"))

    def _leave(self, turn: _Turn, holder: Hashable) -> None:
        """Pass on the place, or what came of it, of a caller who was cancelled before it could take it."""
        if turn.cancelled():
            self._turns.discard(turn, holder)
        elif turn.exception() is None:
            connection = turn.result()
            if connection is None:
                self._vacate(holder)
            else:
                self.release(connection)

    def _serve(self) -> None:
        """Give what is free to those whose turn it is."""
        while self._turns and self._has_room() and (next_one := self._turns.pop(self._may_take)):
            holder, turn = next_one
            if not turn.done():  # it may have been cancelled just now
                turn.set_result(self._take(holder))

    def _vacate(self, holder: Hashable) -> None:
        """Free the place of a connection that does not exist."""
        self._forget_holder(holder)
        self._slots -= 1
        self._serve()

    def _forget_holder(self, holder: Hashable) -> None:
        left = self._held[holder] - 1
        if left:
            self._held[holder] = left
        else:
            del self._held[holder]

    async def _close(self, connection: RawConnection) -> None:
        # close() first delivers the cancellation of a statement that still runs; terminate() would leave it running.
        try:
            await connection.close(timeout=_CLOSE_SECONDS)
        except Exception:  # whatever went wrong, the socket goes
            connection.terminate()
        finally:
            self._ends.pop(connection, None)
            if connection in self._holders:
                self._forget_holder(self._holders.pop(connection))
            self._slots -= 1
            self._serve()


def _refuse(turn: _Turn, error: DatabaseUnavailable) -> None:
    if not turn.done():
        turn.set_exception(error)
