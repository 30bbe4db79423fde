"""The advisory locks of this service, in one list, so that no two mean the same.

The numbers are the database's, whichever process takes one: never give a number another meaning.
"""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import BigInteger, bindparam, func, select

from tenantmesh.runtime.database import Connection, compiled

__all__ = ["Lock", "lock", "try_lock"]

_FIRST = 0x746D5F6576656E74  # "tm_event"


class Lock(IntEnum):
    """What each lock is for."""

    POSITIONS = _FIRST
    """Drawing positions in the event logs."""
    PRUNE_TENANT_EVENTS = _FIRST + 1
    PRUNE_ALLOCATIONS = _FIRST + 2
    PRUNE_LEDGER = _FIRST + 3


_number = bindparam("number", type_=BigInteger)
_LOCK = compiled(select(func.pg_advisory_xact_lock(_number)))
_TRY = compiled(select(func.pg_try_advisory_xact_lock(_number).label("locked")))


async def lock(connection: Connection, wanted: Lock) -> None:
    """Takes the lock until this transaction ends. Waits for the transaction that has it."""
    await connection.execute(_LOCK, number=wanted.value)


async def try_lock(connection: Connection, wanted: Lock) -> bool:
    """Takes the lock until this transaction ends, and returns True; False at once where another transaction has it."""
    row = await connection.fetch_row(_TRY, number=wanted.value)
    return row is not None and bool(row["locked"])
