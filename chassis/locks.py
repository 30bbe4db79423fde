"""Advisory locks that a transaction holds until it ends. Their numbers are in `runtime.locks`."""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, func, select

from tenantmesh.runtime.database import Connection, compiled

__all__ = ["hold", "try_hold"]

_number = bindparam("number", type_=BigInteger)
_HOLD = compiled(select(func.pg_advisory_xact_lock(_number)))
_TRY_HOLD = compiled(select(func.pg_try_advisory_xact_lock(_number).label("held")))


async def hold(connection: Connection, number: int) -> None:
    """Take the lock and hold it until this transaction ends. Waits while another transaction holds it."""
    await connection.execute(_HOLD, number=number)


async def try_hold(connection: Connection, number: int) -> bool:
    """Take the lock as `hold` does and return True. Return False at once if another transaction holds it."""
    row = await connection.fetch_row(_TRY_HOLD, number=number)
    return row is not None and bool(row["held"])
