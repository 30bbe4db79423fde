"""One transaction through one door: begun, scoped and cleaned by a single message.

The message is `RESET ALL; BEGIN; SET LOCAL app.tenant_id = '…'`. It costs one round trip like a bare BEGIN, and makes a
leak from an earlier transaction impossible instead of unlikely: whatever a session was left with is gone, and the
tenant of this transaction ends with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Hashable, Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import asyncpg

from tenantmesh.runtime.database.errors import (
    CommitUnknown,
    DatabaseUnavailable,
    InternalDatabaseError,
    StandbyReached,
    begin_failed,
    translated,
)
from tenantmesh.runtime.database.pool import Pool, RawConnection
from tenantmesh.runtime.database.statement import Statement

__all__ = ["Connection", "Door", "Record", "Transaction"]

Record = asyncpg.Record
_Answer = TypeVar("_Answer")


class Connection:
    """Runs statements inside one transaction. Only for the task that opened it, and only until it ends.

    Every method raises a `DatabaseError` when the statement fails; the transaction can then only roll back.
    """

    __slots__ = ("_raw", "lost")

    def __init__(self, raw: RawConnection) -> None:
        self._raw: RawConnection | None = raw
        self.lost = False  # True once nobody knows what the server will say next

    async def fetch(self, statement: Statement, /, **parameters: Any) -> list[Record]:
        """Return all rows."""
        arguments = statement.arguments(parameters)
        if statement.planned_anew:
            return await self._answer(_planned_and_fetched(self._open(), statement.sql, arguments))
        return await self._answer(self._open().fetch(statement.sql, *arguments))

    async def fetch_row(self, statement: Statement, /, **parameters: Any) -> Record | None:
        """Return the first row, or None."""
        if statement.planned_anew:
            return next(iter(await self.fetch(statement, **parameters)), None)
        arguments = statement.arguments(parameters)
        return await self._answer(self._open().fetchrow(statement.sql, *arguments))

    async def execute(self, statement: Statement, /, **parameters: Any) -> int:
        """Run the statement and return how many rows it touched."""
        arguments = statement.arguments(parameters)
        tag = await self._answer(_run(self._open(), statement.sql, arguments))
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    async def execute_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]], /) -> None:
        """Run the statement once per row of parameters, sent together. All of them count, or none."""
        arguments = [statement.arguments(row) for row in rows]
        await self._answer(self._open().executemany(statement.sql, arguments))

    async def rescope(self, command: str) -> None:
        """Change the tenant that this transaction sees, or undo a part of it. For `several_tenants` alone."""
        await self._answer(self._open().execute(command))

    def part(self) -> Connection:
        """Return a connection that ends before this one. For `several_tenants` alone."""
        return Connection(self._open())

    def end(self) -> None:
        """Refuse further statements: the transaction is over."""
        self._raw = None

    def _open(self) -> RawConnection:
        if self._raw is None:
            raise InternalDatabaseError("the transaction is over; a connection must not outlive its `async with`")
        return self._raw

    async def _answer(self, answer: Awaitable[_Answer]) -> _Answer:
        try:
            return await answer
        except Exception as error:
            self.lost = not _in_step(error)
            raise translated(error) from error
        except BaseException:
            self.lost = True  # cancelled while the server was at work
            raise


class Transaction:
    """`async with` gives a Connection; leaving commits, an exception rolls back. Made by `Database`."""

    __slots__ = ("_begin", "_connection", "_door", "_holder", "_raw", "_task")

    def __init__(self, door: Door, begin: str, holder: Hashable) -> None:
        self._door = door
        self._begin = begin
        self._holder = holder

    async def __aenter__(self) -> Connection:
        self._task = self._door.enter()
        try:
            self._raw = await self._begun()
        except BaseException:
            self._door.leave(self._task)
            raise
        self._connection = Connection(self._raw)
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.end()
        self._door.leave(self._task)
        if self._connection.lost:
            self._door.pool.discard(self._raw)
            if error is None:
                raise InternalDatabaseError("the connection was lost during the transaction, and the error swallowed")
        elif error is None:
            await self._commit()
        else:
            await self._roll_back()

    async def _begun(self) -> RawConnection:
        raw = await self._door.pool.acquire(self._holder)
        try:
            return await self._begin_on(raw)
        except StandbyReached:
            self._door.pool.discard_idle()  # they lead to the same server; new ones may reach the primary
            raise
        except DatabaseUnavailable:
            if not raw.is_closed():
                raise
        # It had died while idle, for example with the server's restart. Nothing was begun: a fresh one may do.
        self._door.pool.discard_idle()
        return await self._begin_on(await self._door.pool.acquire(self._holder))

    async def _begin_on(self, raw: RawConnection) -> RawConnection:
        try:
            await raw.execute(self._begin)
        except BaseException as error:
            self._door.pool.discard(raw)
            if isinstance(error, Exception):
                raise begin_failed(error) from error
            raise
        return raw

    async def _commit(self) -> None:
        raw, pool = self._raw, self._door.pool
        try:
            tag = await raw.execute("COMMIT")
        except Exception as error:
            if _in_step(error) and not raw.is_closed():  # a deferred constraint refused
                pool.release(raw)
                raise translated(error) from error
            pool.discard(raw)
            raise CommitUnknown("contact with the database was lost while committing") from error
        except BaseException:
            pool.discard(raw)
            raise
        pool.release(raw)
        if tag != "COMMIT":
            raise InternalDatabaseError("a statement failed, its error was swallowed, and nothing was stored")

    async def _roll_back(self) -> None:
        try:
            await self._raw.execute("ROLLBACK")
        except Exception:  # the exception under way says more; the connection is of no use
            self._door.pool.discard(self._raw)
        except BaseException:
            self._door.pool.discard(self._raw)
            raise
        else:
            self._door.pool.release(self._raw)


async def _planned_and_fetched(raw: RawConnection, sql: str, arguments: list[Any]) -> list[Record]:
    # A statement without a name is planned for its arguments and replaced by the next one. `fetch` would keep it by
    # name, and the server could use one plan for all arguments from the sixth time on.
    prepared = await raw.prepare(sql, name="")
    return await prepared.fetch(*arguments)


async def _run(raw: RawConnection, sql: str, arguments: list[Any]) -> str:
    if arguments:
        return await raw.execute(sql, *arguments)
    # Without arguments asyncpg would use the simple protocol, which runs whatever follows a semicolon.
    prepared = await raw.prepare(sql)
    await prepared.fetch()
    return prepared.get_statusmsg() or ""


def _in_step(error: Exception) -> bool:
    """Return whether client and server agree on their state after the error: the server sent it, or no one did."""
    if isinstance(error, asyncpg.PostgresError):
        return not (error.sqlstate or "").startswith(("08", "57P"))
    return isinstance(error, ValueError)


class Door:
    """A pool, and the rule that a task has at most one transaction open on it.

    A second one would be another tenant inside the first, and with a full pool two such tasks wait for each other.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._inside: set[asyncio.Task[Any] | None] = set()

    async def read(self, sql: str, *arguments: Any, holder: Hashable) -> list[Record]:
        """Run one statement that changes nothing, in a transaction of its own. Raises a `DatabaseError`."""
        raw = await self.pool.acquire(holder)
        try:
            return await self._read_on(raw, sql, arguments)
        except DatabaseUnavailable:
            if not raw.is_closed():
                raise
        # It had died while idle, for example with the server's restart; a read may simply be repeated.
        self.pool.discard_idle()
        return await self._read_on(await self.pool.acquire(holder), sql, arguments)

    async def _read_on(self, raw: RawConnection, sql: str, arguments: tuple[Any, ...]) -> list[Record]:
        try:
            rows = await raw.fetch(sql, *arguments)
        except Exception as error:
            (self.pool.release if _in_step(error) and not raw.is_closed() else self.pool.discard)(raw)
            raise translated(error) from error
        except BaseException:
            self.pool.discard(raw)  # cancelled while the server was at work
            raise
        self.pool.release(raw)
        return rows

    def enter(self) -> asyncio.Task[Any] | None:
        """Note the current task and return it. Raises InternalDatabaseError when it is inside already."""
        task = asyncio.current_task()
        if task in self._inside:
            raise InternalDatabaseError("a transaction is open in this task already; pass its connection on")
        self._inside.add(task)
        return task

    def leave(self, task: asyncio.Task[Any] | None) -> None:
        """Forget the task."""
        self._inside.discard(task)
