"""Connections, kept and handed out: last in, first out, bounded, dead and old ones replaced.

asyncpg's own pool resets a connection by an extra round trip and wraps it in a proxy; measured, that is a third of the
cost of a short transaction. Here the first message of each transaction resets the session instead (`transaction`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg

from tenantmesh.runtime.database.errors import DatabaseUnavailable, translated
from tenantmesh.runtime.database.lifetimes import lifetime

__all__ = ["Pool", "RawConnection"]

_CLOSE_SECONDS = 1.0

if TYPE_CHECKING:
    RawConnection = asyncpg.Connection[asyncpg.Record]
else:  # asyncpg's classes are generic for type checkers only
    RawConnection = asyncpg.Connection


class Pool:
    """At most `size` connections. Every `acquire` is followed by exactly one `release` or `discard`.

    A connection serves for `age`, less up to a quarter by lot, so that not all end at once. The next one goes where the
    address leads by then.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[RawConnection]],
        *,
        size: int,
        timeout: timedelta,
        age: timedelta = timedelta(minutes=15),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._age = age
        self._clock = clock
        self._ends: dict[RawConnection, float] = {}
        """The connections that exist, and when each is old."""
        self._limit = size
        self._timeout = timeout.total_seconds()
        self._idle: list[RawConnection] = []
        self._waiters: deque[asyncio.Future[RawConnection | None]] = deque()
        self._closing: set[asyncio.Task[None]] = set()
        self._slots = 0  # connections that exist, are being made or are being closed
        self._closed = False

    async def acquire(self) -> RawConnection:
        """Return an open connection. Raises DatabaseUnavailable when none comes in time or none can be made."""
        if self._closed:
            raise DatabaseUnavailable("the database door is closed")
        while self._idle:
            connection = self._idle.pop()
            if connection.is_closed():
                del self._ends[connection]
                self._slots -= 1
            elif self._clock() >= self._ends[connection]:
                self.discard(connection)
            else:
                return connection
        if self._slots < self._limit:
            self._slots += 1
            return await self._open()
        return await self._wait()

    def release(self, connection: RawConnection) -> None:
        """Take back a connection that is outside a transaction."""
        if connection.is_closed():
            del self._ends[connection]
            self._vacate()
        elif self._closed or self._clock() >= self._ends[connection]:
            self.discard(connection)
        elif not self._hand_over(connection):
            self._idle.append(connection)

    def discard(self, connection: RawConnection) -> None:
        """Close a connection whose state is unknown. Its place becomes free once the server let go of it."""
        task = asyncio.get_running_loop().create_task(self._close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def discard_idle(self) -> None:
        """Close all idle connections: one of them met a server that is gone, so the others will."""
        idle, self._idle = self._idle, []
        for connection in idle:
            self.discard(connection)

    async def close(self) -> None:
        """Refuse new callers, close idle connections and wait for those being closed."""
        self._closed = True
        while self._hand_over(None):
            pass
        self.discard_idle()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _open(self) -> RawConnection:
        try:
            if self._closed:
                raise DatabaseUnavailable("the database door is closed")
            connection = await self._connect()
        except BaseException as error:
            self._vacate()
            if isinstance(error, Exception):
                raise translated(error) from error
            raise
        self._ends[connection] = self._clock() + lifetime(self._age)
        return connection

    async def _wait(self) -> RawConnection:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[RawConnection | None] = loop.create_future()
        self._waiters.append(turn)
        timer = loop.call_later(self._timeout, _expire, turn)
        try:
            connection = await turn
        except asyncio.CancelledError:
            self._give_back(turn)
            raise
        finally:
            timer.cancel()
        if connection is None or connection.is_closed():
            return await self._open()
        return connection

    def _give_back(self, turn: asyncio.Future[RawConnection | None]) -> None:
        """Pass on what a caller got who was cancelled before it could take it."""
        if turn.cancelled() or turn.exception() is not None:
            return
        connection = turn.result()
        if connection is None:
            self._vacate()
        else:
            self.release(connection)

    def _hand_over(self, connection: RawConnection | None) -> bool:
        """Give a connection, or None for the right to open one, to the call that has waited longest."""
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _vacate(self) -> None:
        if not self._hand_over(None):
            self._slots -= 1

    async def _close(self, connection: RawConnection) -> None:
        # close() first delivers the cancellation of a statement that still runs; terminate() would leave it running.
        try:
            await connection.close(timeout=_CLOSE_SECONDS)
        except Exception:  # whatever went wrong, the socket goes
            connection.terminate()
        finally:
            self._ends.pop(connection, None)
            self._vacate()


def _expire(turn: asyncio.Future[RawConnection | None]) -> None:
    if not turn.done():
        turn.set_exception(DatabaseUnavailable("all connections to the database are in use"))
