"""A consumer of an event log inside the service. Its cursor is a row of the service's database.

A watch (`watch.py`) belongs to a caller, who keeps the cursor. A follower belongs to the service: it handles each event
once, such as by inserting a delivery, even when its process is killed meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from tenantmesh.chassis.background import Repeating
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.event_log.log import Event, EventLog
from tenantmesh.chassis.locks import hold
from tenantmesh.runtime import locks
from tenantmesh.runtime.database import Connection, InternalDatabaseError, Statement, compiled
from tenantmesh.runtime.row_security import TableGrant, catalog

__all__ = ["Follower", "FollowerPositions", "followers_table"]

_BATCH = 100
_UNREAD = 0
"""The position of a follower that has not begun. Positions of events are above it."""
_E = TypeVar("_E", bound=Event)


def followers_table(metadata: MetaData, role: str) -> Table:
    """Declare the table of followers' positions in a service's schema. `role` is the role of its system door."""
    return catalog(
        Table(
            "followers",
            metadata,
            Column("log", Text, primary_key=True),
            Column("follower", Text, primary_key=True),
            Column("position", BigInteger, nullable=False),
        ),
        "How far each consumer of an event log is, over all tenants.",
        (TableGrant(role, ("SELECT", "INSERT")), TableGrant(role, ("UPDATE",), ("position",))),
        secret=True,
    )


class FollowerPositions:
    """The statements on the positions of followers. Every method needs a connection of the system door."""

    def __init__(self, table: Table) -> None:
        this = (table.c.log == bindparam("of_log"), table.c.follower == bindparam("of_follower"))
        self._add: Statement = compiled(
            insert(table)
            .values(log=bindparam("of_log"), follower=bindparam("of_follower"), position=bindparam("at"))
            .on_conflict_do_nothing()
        )
        self._read: Statement = compiled(select(table.c.position).where(*this))
        self._claim: Statement = compiled(select(table.c.position).where(*this).with_for_update(skip_locked=True))
        self._move: Statement = compiled(update(table).where(*this).values(position=bindparam("at")))
        self._slowest: Statement = compiled(
            select(func.min(table.c.position).label("position")).where(table.c.log == bindparam("of_log"))
        )

    async def add(self, connection: Connection, log: str, follower: str, position: int) -> None:
        """Store the first position of a follower, unless it has one."""
        await connection.execute(self._add, of_log=log, of_follower=follower, at=position)

    async def read(self, connection: Connection, log: str, follower: str) -> int:
        """Return the position of a follower that has been added."""
        row = await connection.fetch_row(self._read, of_log=log, of_follower=follower)
        if row is None:
            raise InternalDatabaseError(f"the follower {follower} of the log {log} was never added")
        return int(row["position"])

    async def claim(self, connection: Connection, log: str, follower: str) -> int | None:
        """Lock the follower for this transaction and return its position; None while another process holds it."""
        row = await connection.fetch_row(self._claim, of_log=log, of_follower=follower)
        return None if row is None else int(row["position"])

    async def move(self, connection: Connection, log: str, follower: str, position: int) -> None:
        """Store the position of the last event that the follower has handled. Claim the follower first."""
        await connection.execute(self._move, of_log=log, of_follower=follower, at=position)

    async def slowest(self, connection: Connection, log: str) -> int | None:
        """Return the position of the follower that is furthest behind, None without followers.

        Retention must not pass it. When a follower leaves the product, a migration must therefore delete its row.
        """
        row = await connection.fetch_row(self._slowest, of_log=log)
        return None if row is None or row["position"] is None else int(row["position"])


class Follower(Generic[_E]):
    """A consumer that passes each event of the log to `handle`, in commit order and in batches.

    `handle` works in the transaction that moves the follower's position. Its writes in that transaction happen exactly
    once for each event; other effects may be repeated. Every process may run the same follower: one at a time handles
    events. A new follower begins with the oldest event that is kept, or with the next one if `from_now`.
    """

    def __init__(
        self,
        name: str,
        log: EventLog[_E],
        doors: Doors,
        positions: FollowerPositions,
        handle: Callable[[Connection, Sequence[_E]], Awaitable[None]],
        *,
        interval: timedelta,
        from_now: bool = False,
    ) -> None:
        self._name = name
        self._log = log
        self._doors = doors
        self._positions = positions
        self._handle = handle
        self._from_now = from_now
        self._loop = Repeating(f"{log.name}-follower-{name}", self.step, interval)
        self.wake = self._loop.wake
        self.close = self._loop.close

    async def start(self) -> None:
        """Store the position of a new follower, and start to follow. Raises Unavailable without a database."""
        async with self._doors.system(f"the follower {self._name} is there") as connection:
            # No pruning is under way once this commits, and later ones leave what the row still needs: all of the log.
            await hold(connection, locks.EVENT_LOG_PRUNING)
            await self._positions.add(connection, self._log.name, self._name, _UNREAD)
        begin = await (self._log.head() if self._from_now else self._log.horizon())
        async with self._doors.system(f"where the follower {self._name} begins") as connection:
            if await self._positions.claim(connection, self._log.name, self._name) == _UNREAD:
                await self._positions.move(connection, self._log.name, self._name, begin)
        await self._loop.start()

    async def step(self) -> bool:
        """Handle the next batch and return whether there may be more. Raises Unavailable, and errors of `handle`."""
        async with self._doors.system(f"where the follower {self._name} is", read_only=True) as connection:
            position = await self._positions.read(connection, self._log.name, self._name)
        events = await self._log.after(position, _BATCH)
        if not events:
            return False
        async with self._doors.system(f"events for the follower {self._name}") as connection:
            if await self._positions.claim(connection, self._log.name, self._name) != position:
                return False  # another process has these events, or has handled them since
            await self._handle(connection, events)
            await self._positions.move(connection, self._log.name, self._name, events[-1].position)
        return len(events) == _BATCH
