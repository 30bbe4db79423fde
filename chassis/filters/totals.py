"""The number of items that a list has: counted where there are few, and the planner's estimate where there are many.

Counting reads each item, so its cost would grow with the list. The planner estimates from statistics that autovacuum
keeps; its error is small for one condition on a column and grows with the number of conditions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, literal_column, select

from tenantmesh.runtime.database import Connection, Statement

__all__ = ["COUNTED", "Total", "counting", "total"]

COUNTED = 1000
"""The largest number of items that is counted."""


@dataclass(frozen=True, slots=True)
class Total:
    """The number of items of a list. `estimated` says that it was not counted."""

    size: int
    estimated: bool = False


def counting(items: Select[Any]) -> Select[Any]:
    """Return the statement that counts the items of a query, and stops at one more than `COUNTED`."""
    some = items.with_only_columns(literal_column("1").label("one")).limit(COUNTED + 1).subquery()
    return select(func.count().label("items")).select_from(some)


async def total(
    connection: Connection, counted: Statement, items: Statement, parameters: Mapping[str, object]
) -> Total:
    """Return the number of items of a query. `counted` is what `counting` makes of it; both take the parameters."""
    row = await connection.fetch_row(counted, **parameters)
    found = int(row["items"]) if row is not None else 0
    if found <= COUNTED:
        return Total(found)
    plan = await connection.fetch_row(items.explained(), **parameters)
    rows = int(json.loads(plan[0])[0]["Plan"]["Plan Rows"]) if plan is not None else 0
    return Total(max(rows, COUNTED + 1), estimated=True)
