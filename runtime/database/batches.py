"""Deleting a batch of a table, by the places of its rows: PostgreSQL finds them without reading the table.

A condition `key IN (SELECT … LIMIT size)` leaves the choice to the planner, which knows no size beforehand, expects a
tenth of the table and reads all of it. The places of rows are an array that is made first.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, Table, any_, func, literal_column, select

__all__ = ["batch_of", "in_batch"]


def batch_of(table: Table) -> Select[Any]:
    """Return a select of the places of rows, to which a caller adds conditions, an order and a limit."""
    return select(_place(table)).select_from(table)


def in_batch(table: Table, batch: Select[Any]) -> ColumnElement[bool]:
    """Return the condition that a row is in the batch. Use it in the same statement: places change with updates."""
    return _place(table) == any_(func.array(batch.correlate(None).scalar_subquery()))


def _place(table: Table) -> ColumnElement[Any]:
    return literal_column(f"{table.fullname}.ctid")
