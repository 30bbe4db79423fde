"""Advisory locks that a transaction holds until it ends. Their numbers are in `runtime.locks`."""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, func, select

from tenantmesh.runtime.database import Connection, compiled

__all__ = ["hold", "try_hold"]

_number = bindparam("number", type_=BigInteger)
_HOLD = compiled(select(func.pg_advisory_xact_lock(_number)))
_TRY_HOLD = compiled(select(func.pg_try_advisory_xact_lock(_number).label("held")))


async def hold(connection: Connection, number: int) -> None:
    """Hold the lock until this transaction ends. Waits for the transaction that has it."""
    await connection.execute(_HOLD, number=number)


async def try_hold(connection: Connection, number: int) -> bool:
    """Hold the lock until this transaction ends, and return True; return False at once where another has it."""
    row = await connection.fetch_row(_TRY_HOLD, number=number)
    return row is not None and bool(row["held"])
